"""A controllable data platform: a real HTTP server on the loopback that stores what it receives."""

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

DRIP_SECONDS = 0.05


@dataclass(frozen=True)
class Call:
    """A received POST request."""

    path: str
    headers: dict[str, str]
    body: bytes


@dataclass
class Partner:
    """The responses to the next calls, and the received calls."""

    url: str = ""
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    drips: str = ""
    """`headers` or `body`: this part is sent one byte at a time while this is set."""
    hold: threading.Event | None = None
    """Calls wait until it is set."""
    calls: list[Call] = field(default_factory=list)
    body: bytes = b"ok"
    connections: int = 0
    hung_up: int = 0
    """The number of slow responses during which the client disconnected."""

    @property
    def keys(self) -> list[str]:
        return [call.headers["Idempotency-Key"] for call in self.calls]


@contextmanager
def partner_at_work() -> Iterator[Partner]:
    partner = Partner()

    class Handler(_Handler):
        serves = partner

    with _Server(("127.0.0.1", 0), Handler) as server:
        partner.url = f"http://127.0.0.1:{server.server_port}/orders"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield partner
        finally:
            partner.drips = ""
            if partner.hold:
                partner.hold.set()
            server.shutdown()
            thread.join()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    # A backlog for eight simultaneous connections.
    request_queue_size = 128

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Ignores disconnections by the client; raises other errors."""
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    serves: Partner

    def setup(self) -> None:
        self.serves.connections += 1
        super().setup()

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.serves.calls.append(Call(self.path, dict(self.headers), body))
        if self.serves.hold:
            self.serves.hold.wait(timeout=30)
        with suppress(ConnectionError):
            self._answer()

    def _answer(self) -> None:
        if self.serves.drips == "headers":
            self.wfile.write(f"HTTP/1.1 {self.serves.status} Slowly\r\nX-Drip: ".encode())
            self._drip()
            return
        self.send_response(self.serves.status)
        for name, value in self.serves.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", "1000000" if self.serves.drips else str(len(self.serves.body)))
        self.end_headers()
        if self.serves.drips:
            self._drip()
        else:
            self.wfile.write(self.serves.body)

    def _drip(self) -> None:
        self.close_connection = True
        try:
            while self.serves.drips:
                self.wfile.write(b"x")
                time.sleep(DRIP_SECONDS)
        except ConnectionError:
            self.serves.hung_up += 1

    def log_message(self, format: str, *args: Any) -> None:
        """Not logged: the calls are stored."""
