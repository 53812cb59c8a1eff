"""A client's connection to the web server: uvicorn's, with limits on what one client may hold.

A connection is closed when the head of a request is too large, or when a request does not arrive in time. Answers to
both are plain text: there is no request yet.
"""

from typing import Any, ClassVar

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

LARGEST_HEAD_BYTES = 64 * 1024
_CHECK_SECONDS = 1.0


class Connection(HttpToolsProtocol):
    """One connection and the requests on it.

    Attributes:
        request_seconds: how long a request may take to arrive, from the first byte of its head to the last of its body;
            and the first request of a connection, from the connection's beginning.
    """

    request_seconds: ClassVar[float] = 10.0

    def connection_made(self, transport: Any) -> None:
        is_first = not self.connections
        super().connection_made(transport)
        self._arriving_since: float | None = self.loop.time()
        self._head_bytes = 0
        if is_first:
            self.loop.call_later(_CHECK_SECONDS, self._check_all)

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._arriving_since = self.loop.time()
        self._head_bytes = 0

    def on_url(self, url: bytes) -> None:
        self._count(url)
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        self._count(name, value)
        super().on_header(name, value)

    def on_message_complete(self) -> None:
        super().on_message_complete()
        self._arriving_since = None

    def _count(self, *parts: bytes) -> None:
        self._head_bytes += sum(map(len, parts))
        if self._head_bytes > LARGEST_HEAD_BYTES:
            self._refuse(b"431 Request Header Fields Too Large")

    def _check_all(self) -> None:
        late = self.loop.time() - self.request_seconds
        for connection in list(self.connections):
            if isinstance(connection, Connection):
                connection._close_if_arriving_since(late)
        if self.connections:
            self.loop.call_later(_CHECK_SECONDS, self._check_all)

    def _close_if_arriving_since(self, late: float) -> None:
        if self._arriving_since is not None and self._arriving_since < late:
            self._refuse(b"408 Request Timeout")

    def _refuse(self, status: bytes) -> None:
        if not self.transport.is_closing():
            self.transport.write(b"HTTP/1.1 %b\r\nconnection: close\r\ncontent-length: 0\r\n\r\n" % status)
            self.transport.close()
