"""A client's connection to the shop: sends a request, waits for a limited time, and records the outcome.

Does not retry.
"""

import http.client
import json
from typing import Any

from commerce.embedded.ports import LOOPBACK
from tests.faults.entry import POINTS_HEADER
from tests.faults.history import Call, History

CLIENT_SECONDS = 12.0
"""How long a client waits for a response; longer than any request may take."""


class Caller:
    """A keep-alive connection. Not thread-safe."""

    def __init__(self, port: int, history: History, *, name: str) -> None:
        self.name = name
        self._port = port
        self._history = history
        self._connection: http.client.HTTPConnection | None = None

    def call(
        self,
        kind: str,
        method: str,
        path: str,
        *,
        user_id: int,
        token: str,
        body: Any = None,
        key: str | None = None,
        points: str | None = None,
    ) -> Call:
        """Send one request and return what is known afterwards; a lost connection is an unknown outcome.

        `points`: the prefix of the request's failpoints, instead of its kind; no other request has this prefix.
        """
        call = self._history.begin(
            client=self.name, kind=kind, user_id=user_id, method=method, path=path, body=body, key=key
        )
        headers = {"Authorization": f"Bearer {token}"}
        content = None
        if body is not None:
            content = json.dumps(body).encode()
            headers["Content-Type"] = "application/json"
        if key is not None:
            headers["Idempotency-Key"] = key
        if points is not None:
            headers[POINTS_HEADER] = points
        try:
            connection = self._open()
            connection.request(method, path, content, headers)
            call.from_port = connection.sock.getsockname()[1]
            response = connection.getresponse()
            self.read(response, call)
            if response.will_close:
                self.close()
        except (OSError, http.client.HTTPException) as error:
            call.status = None
            call.never_sent = isinstance(error, ConnectionRefusedError)
            call.trouble = f"{type(error).__name__}: {error}"
            self.close()
        call.answered_at = self._history.now()
        return call

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _open(self) -> http.client.HTTPConnection:
        if self._connection is None:
            self._connection = http.client.HTTPConnection(LOOPBACK, self._port, timeout=CLIENT_SECONDS)
        return self._connection

    @staticmethod
    def read(response: http.client.HTTPResponse, call: Call) -> None:
        """Record the whole response."""
        content = response.read()
        call.content = content
        call.content_type = response.headers.get("Content-Type", "")
        call.replayed = response.headers.get("Idempotent-Replayed") == "true"
        call.retry_after = response.headers.get("Retry-After")
        # A replay contains the id of the first request, as its body does.
        names = response.headers
        call.request_id = names.get("Original-Request-ID", names.get("X-Request-ID", ""))
        # Last, because a response only counts when it is complete.
        call.status = response.status
