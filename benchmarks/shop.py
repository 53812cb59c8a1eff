"""The measured processes: the shop as in production, and the bare and the usual application."""

import http.client
import sys
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from signal import SIGKILL, SIGTERM, Signals
from typing import Any

from benchmarks.servers import Servers
from commerce.embedded.children import Child, ChildSpec
from commerce.embedded.command_lines import manage, web_command
from commerce.embedded.ports import LOOPBACK, free_port

WEB_WORKERS = 2
_START_SECONDS = 60.0
_CALL_SECONDS = 10.0


class WebServer:
    """One application with the production web server's command line, on its own port."""

    def __init__(
        self,
        servers: Servers,
        name: str,
        *,
        application: str,
        ready_path: str,
        environment: Mapping[str, str] | None = None,
        threads: int | None = None,
    ) -> None:
        """`threads`: of each worker of a WSGI application, which granian serves; None for the shop."""
        self.name = name
        self.port = free_port()
        self._ready_path = ready_path
        self._environment = {**servers.environment, **(environment or {})}
        if threads is None:
            command = web_command(host=LOOPBACK, port=self.port, workers=WEB_WORKERS, application=application)
        else:
            command = _granian(self.port, application, threads)
        self.command: Sequence[str] = command
        # Its workers only end with it if it is stopped gracefully, not if it is killed.
        self.child = _child(servers, name, command, orphan_signal=SIGTERM)

    @property
    def pids(self) -> list[int]:
        return [] if self.child.pid is None else [self.child.pid]

    def start(self) -> None:
        """Start it and wait until it answers. Raises ChildFailed."""
        self.child.start(self._environment)
        self.child.wait_until_ready(self._ready, timeout_seconds=_START_SECONDS)

    def stop(self) -> None:
        self.child.stop()

    def call(
        self, method: str, path: str, *, headers: Mapping[str, str] | None = None, body: bytes | None = None
    ) -> "Answer":
        """One request on a new connection."""
        return call(self.port, method, path, headers=headers, body=body)

    def _ready(self) -> bool:
        try:
            return self.call("GET", self._ready_path).status == 200
        except (OSError, http.client.HTTPException):
            return False


def call(
    port: int, method: str, path: str, *, headers: Mapping[str, str] | None = None, body: bytes | None = None
) -> "Answer":
    """One request to a port of this machine, on a new connection."""
    connection = http.client.HTTPConnection(LOOPBACK, port, timeout=_CALL_SECONDS)
    try:
        connection.request(method, path, body=body, headers=dict(headers or {}))
        response = connection.getresponse()
        return Answer(response.status, response.getheader("Content-Type") or "", response.read())
    finally:
        connection.close()


def _granian(port: int, application: str, threads: int) -> list[str]:
    return [
        *(sys.executable, "-m", "granian", "--interface", "wsgi", "--no-ws", "--http", "1"),
        *("--host", LOOPBACK, "--port", str(port), "--backlog", "2048"),
        *("--workers", str(WEB_WORKERS), "--blocking-threads", str(threads)),
        application,
    ]


class Answer:
    """The response to a request."""

    def __init__(self, status: int, content_type: str, body: bytes) -> None:
        self.status = status
        self.content_type = content_type
        self.body = body


class Shop:
    """Web server with two workers, `relay_outbox` and `consume_orders`."""

    def __init__(self, servers: Servers, environment: Mapping[str, str] | None = None, *, name: str = "shop") -> None:
        self._stack = ExitStack()
        metrics = servers.folder / f"{name}-metrics"
        metrics.mkdir(exist_ok=True)
        self._environment = {**servers.environment, **(environment or {})}
        self.web = WebServer(
            servers,
            f"{name}-web",
            application="commerce.asgi:application",
            ready_path="/readyz",
            environment={**self._environment, "PROMETHEUS_MULTIPROC_DIR": str(metrics)},
        )
        self.relay = _child(servers, f"{name}-relay", manage("relay_outbox"))
        self.consumer = _child(servers, f"{name}-consumer", manage("consume_orders"))

    def start(self) -> None:
        """Start all processes and wait until the web server is ready. Raises ChildFailed."""
        for child in (self.consumer, self.relay):
            self._stack.callback(child.stop)
            child.start(self._environment)
        self._stack.callback(self.web.stop)
        self.web.start()

    def stop(self) -> None:
        self._stack.close()

    def start_consumer(self) -> None:
        self.consumer.start(self._environment)

    def restart_web(self) -> None:
        """Restart the web server, so that nothing is cached in its processes."""
        self.web.stop()
        self.web.start()

    @property
    def pids(self) -> list[int]:
        return [pid for pid in (*self.web.pids, self.relay.pid, self.consumer.pid) if pid is not None]


def _child(servers: Servers, name: str, command: Sequence[str], *, orphan_signal: Signals = SIGKILL) -> Child:
    spec: dict[str, Any] = {"name": name, "command": command, "log_path": servers.logs / f"{name}.log"}
    return Child(ChildSpec(**spec, orphan_signal=orphan_signal, grace_seconds=15.0))
