"""The shop's own web server, on the database and the Redis of this test run.

Contains one server with the settings of a deployment, on its own address.
"""

import os
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from signal import SIGTERM
from urllib.request import urlopen

from django.db import connection

from commerce.embedded.children import Child, ChildSpec
from commerce.embedded.ports import LOOPBACK, free_port

START_SECONDS = 60.0


@dataclass(frozen=True)
class WebServer:
    """The address on which it listens, and its output so far."""

    port: int
    log_path: Path
    child: Child

    @property
    def url(self) -> str:
        return f"http://{LOOPBACK}:{self.port}"

    def connect(self, *, timeout_seconds: float = 10.0) -> socket.socket:
        """A connection for requests that HTTP libraries do not send."""
        return socket.create_connection((LOOPBACK, self.port), timeout=timeout_seconds)


@contextmanager
def web_server(application: str = "commerce.asgi:application", **variables: str) -> Iterator[WebServer]:
    """Run the server during the block; `variables` are settings of the shop."""
    port = free_port()
    log_path = Path(os.environ["LOCAL_DIR"]) / f"web-{port}.log"
    command = [
        *(sys.executable, "-m", "commerce.serve", "--host", LOOPBACK, "--port", str(port)),
        application,
    ]
    server = Child(ChildSpec(name="web", command=command, log_path=log_path, orphan_signal=SIGTERM))
    web = WebServer(port, log_path, server)
    server.start({**os.environ, **_settings(), **variables})
    try:
        server.wait_until_ready(lambda: _is_ready(web), timeout_seconds=START_SECONDS)
        yield web
    finally:
        server.stop()


def _settings() -> dict[str, str]:
    """The database of the tests, which differs from the one that the run was given."""
    given = connection.settings_dict
    database = f"postgresql://{given['USER']}:{given['PASSWORD']}@{given['HOST']}:{given['PORT']}/{given['NAME']}"
    return {
        "DATABASE_URL": database,
        "DJANGO_SETTINGS_MODULE": "commerce.settings",
        # Messages stay in the outbox, where the transaction wrote them: a test compares all rows.
        "OUTBOX_DISPATCH_IN_WEB": "false",
        "PYTHONUNBUFFERED": "1",
    }


def _is_ready(web: WebServer) -> bool:
    try:
        with urlopen(f"{web.url}/readyz", timeout=2) as answer:  # noqa: S310  # our own http address
            return bool(answer.status == 200)
    except (OSError, HTTPException):
        return False
