"""uvicorn's client connection, with limits on the resources of one client.

Data that is not a request of HTTP/1 is refused in plain text, and the connection is closed. Incomplete requests are not
processed.
"""

from typing import Any, ClassVar

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

LARGEST_HEAD_BYTES = 64 * 1024
MOST_HEADERS = 100
_SLOWEST_BYTES_PER_SECOND = 16 * 1024
_BAD_REQUEST = b"400 Bad Request"
_CHECK_SECONDS = 1.0


class _HeadTooLarge(Exception):
    """Ends the parsing of a request."""


class Connection(HttpToolsProtocol):
    """One connection and the requests on it."""

    request_seconds: ClassVar[float] = 10.0
    """How long a request may take to arrive, from its first byte to the end of its body, plus a second per 16 KiB. A
    new connection has the same time for its whole first request."""

    def connection_made(self, transport: Any) -> None:
        is_first = not self.connections
        super().connection_made(transport)
        self._arriving_since: float | None = self.loop.time()
        self._head_bytes = 0
        self._is_refused = False
        if is_first:
            self.loop.call_later(_CHECK_SECONDS, self._check_all)

    def data_received(self, data: bytes) -> None:
        if self._is_refused:
            return
        self._unset_keepalive_if_required()
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            # No other protocol is supported: upgrade requests are answered as ordinary requests.
            pass
        except httptools.HttpParserError as error:
            too_large = isinstance(error.__context__, _HeadTooLarge)
            self._refuse(b"431 Request Header Fields Too Large" if too_large else _BAD_REQUEST)

    def eof_received(self) -> bool | None:  # type: ignore[override]  # True keeps the sending side open (asyncio)
        """The client has closed its sending side. It can still read the response to a complete request."""
        if not self._is_answering():
            return None
        self.cycle.keep_alive = False
        return True

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

    def on_headers_complete(self) -> None:
        if self.parser.get_http_version() not in ("1.0", "1.1"):
            raise ValueError("Neither HTTP/1.0 nor HTTP/1.1.")
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        super().on_body(body)
        if self._arriving_since is not None:
            self._arriving_since += len(body) / _SLOWEST_BYTES_PER_SECOND

    def on_message_complete(self) -> None:
        super().on_message_complete()
        self._arriving_since = None

    def _count(self, *parts: bytes) -> None:
        self._head_bytes += sum(map(len, parts))
        if self._head_bytes > LARGEST_HEAD_BYTES or len(self.headers) > MOST_HEADERS:
            raise _HeadTooLarge

    def _is_answering(self) -> bool:
        return self.cycle is not None and not self.cycle.more_body and not self.cycle.response_complete

    def _check_all(self) -> None:
        late = self.loop.time() - self.request_seconds
        for connection in list(self.connections):
            if isinstance(connection, Connection) and connection._arrives_since_before(late):
                connection._refuse(b"408 Request Timeout")
        if self.connections:
            self.loop.call_later(_CHECK_SECONDS, self._check_all)

    def _arrives_since_before(self, moment: float) -> bool:
        # While reading is paused, the server is the slow side.
        return self._arriving_since is not None and self._arriving_since < moment and not self.flow.read_paused

    def _refuse(self, status: bytes) -> None:
        """Stop reading. Requests that arrived before are answered first."""
        self._is_refused = True
        if self._is_answering():
            self.cycle.keep_alive = False
        elif not self.transport.is_closing():
            self.transport.write(b"HTTP/1.1 %b\r\nconnection: close\r\ncontent-length: 0\r\n\r\n" % status)
            self.transport.close()
