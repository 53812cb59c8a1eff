"""`make run GATEWAY=1`: nginx in front of two web servers, from an empty folder."""

import os
import re
import signal
import tempfile
from pathlib import Path

import requests

from commerce.embedded.ports import LOOPBACK
from tests.embedded.processes import is_alive
from tests.embedded.stack import Stack
from tests.embedded.test_quickstart import quickstart


class StackBehindGateway(Stack):
    """Its address does not answer probes."""

    def _is_up(self) -> bool:
        try:
            return requests.get(f"http://{LOOPBACK}:{self.environment['PORT']}/api/products", timeout=5).ok
        except requests.RequestException:
            return False


def test_the_shop_starts_behind_a_gateway_and_stops_completely() -> None:
    folder = Path(tempfile.mkdtemp(dir=os.environ["LOCAL_DIR"]))
    with StackBehindGateway(folder, GATEWAY="1") as stack:
        web = stack.run()["web"]
        printed = stack.printed()
        assert f"{web}/api/products" in printed
        servers = re.findall(r"(http://\S+)/readyz", printed)
        assert len(set(servers)) == 2
        assert web not in servers
        for server in servers:
            assert requests.get(f"{server}/readyz", timeout=10).json()["status"] == "ready"
            assert requests.get(f"{server}/metrics", timeout=10).ok
        assert requests.get(f"{web}/metrics", timeout=10).status_code == 404

        login = {"username": "customer1", "password": "customer"}
        token = requests.post(f"{web}/api/auth/token", json=login, timeout=10).json()["access"]
        order = requests.post(
            f"{web}/api/orders",
            json={"items": [{"productId": 1, "quantity": 1}]},
            headers={"Authorization": f"Bearer {token}"},
            timeout=10,
        )
        assert (order.status_code, order.json()["status"]) == (200, "COMPLETED")
        page = requests.get(f"{web}/admin/login/", timeout=10)
        assert page.status_code == 200
        [style, *_] = re.findall(r'href="(/static/[^"]+\.css)"', page.text)
        assert requests.get(web + style, timeout=10).status_code == 200

        everything = stack.descendants()
        assert stack.stop(signal.SIGTERM) == 0
        assert [pid for pid in everything if is_alive(pid)] == []


def test_without_nginx_the_error_names_the_package(tmp_path: Path) -> None:
    done = quickstart(tmp_path, GATEWAY="1", NGINX="/no/such/nginx")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        "nginx, which is the gateway, is not installed here. On Debian and Ubuntu: apt-get install nginx-light\n"
    )
