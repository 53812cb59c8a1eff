"""A failing data platform: reads every report and responds to all of them with the same HTTP status.

Contains its port and its thread. Reports are not stored.
"""

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from commerce.embedded.ports import LOOPBACK


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """Ignored: connections are cut on purpose here."""


class Partner:
    """Responds with `status`, and with `Retry-After` if set.

    Attributes:
        port: where it listens.
        answered: how many reports it has answered.
    """

    def __init__(self, status: int, *, retry_after_seconds: int | None = None) -> None:
        self.answered = 0
        partner = self

        class Answer(BaseHTTPRequestHandler):
            # One report per connection (HTTP/1.0), so that no connection is left when the fault ends.
            def do_POST(self) -> None:
                self.rfile.read(int(self.headers["Content-Length"]))
                partner.answered += 1
                self.send_response(status)
                if retry_after_seconds is not None:
                    self.send_header("Retry-After", str(retry_after_seconds))
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:
                """Ignored: the shop's delivery log contains the outcomes."""

        self._server = _Server((LOOPBACK, 0), Answer)
        self.port: int = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, daemon=True, name="partner").start()

    def close(self) -> None:
        """Stop listening."""
        self._server.shutdown()
        self._server.server_close()
