"""`python -m commerce.healthy`: the health check of containers."""

import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from django.conf import settings

from commerce.embedded.ports import free_port
from tests.outbox.manage import managed
from tests.together import wait_until


def check(address: str) -> tuple[int, str]:
    ended = subprocess.run(  # noqa: S603  # our own command
        [sys.executable, "-m", "commerce.healthy", address],
        cwd=settings.BASE_DIR,
        env={},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    return ended.returncode, ended.stderr


class Answers(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(int(self.path.removeprefix("/")))
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[str]:
    with HTTPServer(("127.0.0.1", 0), Answers) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_only_a_200_is_healthy(server: str) -> None:
    assert check(f"{server}/200") == (0, "")
    assert check(f"{server}/503") == (1, f"{server}/503: HTTP Error 503: Service Unavailable\n")
    closed = f"http://127.0.0.1:{free_port()}/readyz"
    code, output = check(closed)
    assert (code, "refused" in output) == (1, True)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    "command",
    [("purge_idempotency_keys", "--every", "60"), ("check_invariants", "--every", "900", "--no-record")],
    ids=str,
)
def test_long_running_commands_answer_on_their_port(command: tuple[str, ...]) -> None:
    port = str(free_port())
    with managed(*command, "--metrics-port", port) as process:
        wait_until(lambda: check(f"http://127.0.0.1:{port}/metrics")[0] == 0, "the port to answer")
        assert process.stop() == 0
    assert check(f"http://127.0.0.1:{port}/metrics")[0] == 1
