"""A data platform for development: receives reported orders and stores each of them.

Acknowledges an event after it is written to the file. Refuses invalid signatures.
"""

import argparse
import hashlib
import hmac
import json
import os
import signal
import sys
import threading
import time
from collections import deque
from datetime import UTC, datetime
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from commerce.embedded.children import Child, ChildSpec, Pause
from commerce.embedded.ports import LOOPBACK, accepts_connections, free_port

SHOWN_EVENTS = 50
MAX_BODY_BYTES = 4_000_000
SIGNATURE_AGE_SECONDS = 300
"""The largest difference between the time in a signature and this machine's clock, in either direction."""
_START_SECONDS = 20.0


class BadSignature(Exception):
    """The signature header is missing, malformed, expired, or does not match the body."""


class Inbox:
    """All received events in a file; their keys and the last fifty events in memory."""

    def __init__(self, path: Path) -> None:
        """Continue the file of an earlier run, if there is one."""
        self._lock = threading.Lock()
        self._received = 0
        self._keys: set[str] = set()
        self._last: deque[dict[str, Any]] = deque(maxlen=SHOWN_EVENTS)
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = path.open("ab+")
        self._file.seek(0)
        kept_bytes = 0
        for line in self._file:
            # An incomplete last line was being written when an earlier run was killed. It was not acknowledged.
            if line.endswith(b"\n"):
                self._remember(json.loads(line))
                kept_bytes += len(line)
        self._file.truncate(kept_bytes)

    def add(self, *, key: str, path: str, event: Any) -> bool:
        """Store an event; True if its key is new. The event is in the file when this returns."""
        entry = {"receivedAt": datetime.now(UTC).isoformat(), "key": key, "path": path, "event": event}
        line = json.dumps(entry, ensure_ascii=False).encode() + b"\n"
        with self._lock:
            self._file.write(line)
            self._file.flush()
            return self._remember(entry)

    def summary(self) -> dict[str, Any]:
        """The number of deliveries, the number of distinct keys, and the last deliveries, newest first."""
        with self._lock:
            return {"received": self._received, "unique": len(self._keys), "events": list(reversed(self._last))}

    def close(self) -> None:
        self._file.close()

    def _remember(self, entry: dict[str, Any]) -> bool:
        is_new = entry["key"] not in self._keys
        self._received += 1
        self._keys.add(entry["key"])
        self._last.append(entry)
        return is_new


def verify_signature(header: str, body: bytes, *, secret: str, now: float) -> None:
    """Check `t=<unix seconds>,v1=<hex>`, where v1 is the HMAC-SHA256 of `<t>.<body>` with the shared secret.

    During a rotation of the secret there are several `v1`, of which one must match.

    Raises:
        BadSignature: it is invalid.
    """
    parts = [part.strip().partition("=")[::2] for part in header.split(",")]
    sent_at = dict(parts).get("t", "")
    if not _is_number(sent_at) or abs(now - int(sent_at)) > SIGNATURE_AGE_SECONDS:
        raise BadSignature
    expected = hmac.new(secret.encode(), sent_at.encode() + b"." + body, hashlib.sha256).hexdigest()
    given = [text for name, text in parts if name == "v1"]
    if not any(hmac.compare_digest(expected.encode(), signature.encode()) for signature in given):
        raise BadSignature


def _is_number(text: str) -> bool:
    """ASCII digits, few enough for `int()`, which raises for thousands of them."""
    return text.isascii() and text.isdigit() and len(text) < 20


class SinkServer(ThreadingHTTPServer):
    """One thread per connection; connections may be kept open."""

    daemon_threads = True
    request_queue_size = 1024

    def __init__(self, address: tuple[str, int], *, inbox: Inbox, secret: str) -> None:
        """An empty secret accepts events without a signature."""
        self.inbox = inbox
        self.secret = secret
        super().__init__(address, SinkRequest)


class SinkRequest(BaseHTTPRequestHandler):
    """`POST` to any path stores an event; `GET /events` lists the events; `GET /health` is the health check."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1
    timeout = 60
    server: SinkServer

    def do_GET(self) -> None:
        if self.path == "/health":
            self._answer(HTTPStatus.OK, {"status": "ok"})
        elif self.path == "/events":
            self._answer(HTTPStatus.OK, self.server.inbox.summary())
        else:
            self._answer(HTTPStatus.NOT_FOUND, {"error": "not_found"})

    def do_POST(self) -> None:
        length = self.headers.get("Content-Length", "")
        if not _is_number(length) or int(length) > MAX_BODY_BYTES:
            # The body is not read, so the connection cannot be used for another request.
            self.close_connection = True
            status = HTTPStatus.REQUEST_ENTITY_TOO_LARGE if length.isdigit() else HTTPStatus.LENGTH_REQUIRED
            self._answer(status, {"error": "body_refused"})
            return
        body = self.rfile.read(int(length))
        key = self.headers.get("Idempotency-Key", "")
        if not key:
            self._answer(HTTPStatus.BAD_REQUEST, {"error": "idempotency_key_missing"})
            return
        try:
            if self.server.secret:
                header = self.headers.get("X-Signature", "")
                verify_signature(header, body, secret=self.server.secret, now=time.time())
            event = json.loads(body)
        except BadSignature:
            self._answer(HTTPStatus.UNAUTHORIZED, {"error": "bad_signature"})
        except ValueError:
            self._answer(HTTPStatus.BAD_REQUEST, {"error": "malformed_json"})
        else:
            is_new = self.server.inbox.add(key=key, path=self.path, event=event)
            self._answer(HTTPStatus.OK, {"key": key, "repeated": not is_new})

    def log_message(self, format: str, *args: Any) -> None:
        """Log nothing: the events are in the file."""

    def _answer(self, status: HTTPStatus, content: dict[str, Any]) -> None:
        body = json.dumps(content, ensure_ascii=False).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


class Sink:
    """The sink as a child process.

    Attributes:
        url: the address to which events are posted.
    """

    def __init__(self, directory: Path, *, secret: str, logs: Path) -> None:
        """`secret`: the signing key of events; empty if events are not signed."""
        self._port = free_port()
        self._secret = secret
        self.child = Child(
            ChildSpec(
                name="data-platform",
                command=[
                    *(sys.executable, "-m", "commerce.embedded.sink"),
                    *("--port", str(self._port)),
                    *("--file", str(directory / "data-platform.jsonl")),
                ],
                log_path=logs / "data-platform.log",
            )
        )

    @property
    def url(self) -> str:
        return f"http://{LOOPBACK}:{self._port}/orders"

    @property
    def events_url(self) -> str:
        return f"http://{LOOPBACK}:{self._port}/events"

    def start(self, pause: Pause = time.sleep) -> None:
        """Start the sink and wait until it listens.

        Raises:
            ChildFailed: it did not start.
        """
        self.restart()
        self.child.wait_until_ready(self.ready, timeout_seconds=_START_SECONDS, pause=pause)

    def restart(self) -> None:
        """Start the sink on the same port without waiting."""
        self.child.start({**os.environ, "DATA_PLATFORM_SECRET": self._secret})

    def ready(self) -> bool:
        """Whether it listens."""
        return accepts_connections(LOOPBACK, self._port)


def serve(*, host: str, port: int, path: Path, secret: str) -> None:
    """Run the sink until SIGTERM or SIGINT."""
    inbox = Inbox(path)
    server = SinkServer((host, port), inbox=inbox, secret=secret)
    stopping = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda _number, _frame: stopping.set())
    threading.Thread(target=server.serve_forever, daemon=True).start()
    stopping.wait()
    server.shutdown()
    server.server_close()
    inbox.close()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description="A data platform for development: keeps what is posted. DATA_PLATFORM_SECRET is the signing key."
    )
    parser.add_argument("--host", default=LOOPBACK)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--file", type=Path, required=True, help="where events are kept, one JSON object per line")
    chosen = parser.parse_args()
    serve(
        host=chosen.host,
        port=chosen.port,
        path=chosen.file,
        secret=os.environ.get("DATA_PLATFORM_SECRET", ""),
    )
