"""A web server that records requests, to check what the gateway forwards.

All responses are the same; requests to `/broken` break the connection.
"""

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from commerce.embedded.ports import LOOPBACK

TOKEN = "good.token.signature"
"""Every token with this prefix is valid."""
VERDICT = "/internal/token"


@dataclass(frozen=True)
class Asked:
    """A request, with its headers by lower-case name."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes


@dataclass
class Recorder:
    """The requests that a server received.

    Attributes:
        status: what it answers with.
        ending: it says, where it is asked for a verdict, that it is about to end.
    """

    port: int = 0
    asked: list[Asked] = field(default_factory=list)
    status: int = 200
    ending: bool = False

    def requests(self, path: str = "") -> list[Asked]:
        """Requests of clients, without the gateway's token checks; only those to `path` if it is given."""
        return [asked for asked in self.asked if asked.path != VERDICT and asked.path.startswith(path)]

    def verdicts(self) -> list[Asked]:
        return [asked for asked in self.asked if asked.path == VERDICT]


@contextmanager
def recorder() -> Iterator[Recorder]:
    """Run a server on its own port during the block."""
    record = Recorder()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            headers = {name.lower(): value for name, value in self.headers.items()}
            record.asked.append(Asked(self.command, self.path, headers, body))
            if self.path == VERDICT:
                status = 204 if headers.get("authorization", "").startswith("Bearer good.") else 401
                self._send(503 if record.ending else status, {"X-Accel-Expires": "3"})
            elif self.path.startswith("/api/broken"):
                self.close_connection = True
            else:
                self._send(record.status, {"Content-Type": "application/json", "X-Request-ID": "the-shop-s"}, b"{}")

        def _send(self, status: int, headers: Mapping[str, str], body: bytes = b"") -> None:
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            if status != 204:
                self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST = do_PUT = do_OPTIONS = answer

        def log_message(self, *_arguments: object) -> None:
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = True
        request_queue_size = 512

    with Server((LOOPBACK, 0), Handler) as server:
        record.port = server.server_address[1]
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield record
        finally:
            server.shutdown()
            thread.join()
