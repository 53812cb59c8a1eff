"""Workers of the previous release with the schema of this one, because a deployment migrates first."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import requests
from django.conf import settings

from commerce.api.authentication import tokens_for
from commerce.embedded.ports import LOOPBACK, free_port
from tests.factories import CouponFactory, ProductFactory, UserFactory
from tests.fuzz.web_server import _settings
from tests.together import wait_until

pytestmark = pytest.mark.django_db(transaction=True)


def git(*arguments: str) -> bytes:
    command = ["git", "-C", str(settings.BASE_DIR), *arguments]
    return subprocess.run(command, capture_output=True, check=True).stdout  # noqa: S603  # our own command


@pytest.fixture
def release_before(tmp_path: Path) -> Path:
    """The code before the newest migration."""
    try:
        newest = git("log", "-1", "--format=%H", "--", ":(glob)**/migrations/*.py").decode().strip()
        archive = git("archive", f"{newest}~1")
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("There is no history here to take the release before from.")
    subprocess.run(["tar", "-x", "-C", str(tmp_path)], input=archive, check=True)  # noqa: S603, S607  # the same
    return tmp_path


@contextmanager
def web_server_of(code: Path) -> Iterator[str]:
    port = free_port()
    command = [
        *(sys.executable, "-m", "granian", "--interface", "wsgi", "--no-ws", "--http", "1", "--host", LOOPBACK),
        *("--port", str(port), "--workers", "1", "--blocking-threads", "4", "commerce.wsgi:application"),
    ]
    environment = {**os.environ, **_settings(), "PYTHONPATH": str(code)}
    with (code / "web.log").open("wb") as log:
        server = subprocess.Popen(command, cwd=code, env=environment, stdout=log, stderr=log)  # noqa: S603  # the same
    try:
        wait_until(lambda: is_up(f"http://{LOOPBACK}:{port}"), "the workers of the release before")
        yield f"http://{LOOPBACK}:{port}"
    finally:
        server.terminate()
        server.wait(timeout=30)


def is_up(url: str) -> bool:
    try:
        return requests.get(f"{url}/readyz", timeout=2).status_code == 200
    except requests.RequestException:
        return False


def test_its_workers_read_and_write_on_the_new_schema(release_before: Path) -> None:
    user, pen, coupon = UserFactory(), ProductFactory(price=1_000, stock=5), CouponFactory(total_quantity=1)
    with web_server_of(release_before) as url, requests.Session() as session:
        session.headers["Authorization"] = f"Bearer {tokens_for(user_id=user.pk, is_staff=False).access}"
        paths = ("/api/products", "/api/coupons", f"/api/balance/{user.pk}", "/api/users/orders", "/api/users/coupons")
        assert session.post(f"{url}/api/balance/charge", json={"amount": 10_000}).status_code == 200
        assert session.post(f"{url}/api/coupons/{coupon.pk}/issue").status_code == 200
        order = session.post(f"{url}/api/orders", json={"items": [{"productId": pen.pk, "quantity": 2}]})
        assert order.status_code == 200, order.text
        assert session.post(f"{url}/api/orders/{order.json()['id']}/cancel").status_code == 200
        assert {path: session.get(f"{url}{path}").status_code for path in paths} == dict.fromkeys(paths, 200)
