"""A controllable webhook receiver: a real socket on the loopback with selectable failures.

Signatures are verified by the independent package `standardwebhooks`.
"""

import socket
import ssl
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

from standardwebhooks.webhooks import Webhook

from commerce.embedded.ports import LOOPBACK

DRIP_SECONDS = 0.02
_RST_ON_CLOSE = struct.pack("ii", 1, 0)


@dataclass(frozen=True)
class Delivery:
    """A received POST request."""

    path: str
    headers: dict[str, str]
    """The headers by lower-case name."""
    body: bytes

    @property
    def id(self) -> str:
        return self.headers["webhook-id"]

    def event(self, secret: str) -> Any:
        """The event. Raises WebhookVerificationError if the signature is not by this secret."""
        return Webhook(secret).verify(self.body, self.headers)


Answer = Callable[[socket.socket], bool]
"""Answers one call; returns whether the connection is kept."""


@dataclass
class Receiver:
    """The response to the next calls, and the received calls."""

    answer: Answer
    url: str = ""
    port: int = 0
    deliveries: list[Delivery] = field(default_factory=list)
    connections: int = 0
    at_work: bool = True

    @property
    def ids(self) -> list[str]:
        return [delivery.id for delivery in self.deliveries]


def respond_with(status: int, body: bytes = b"ok", **headers: str) -> Answer:
    """A complete response."""

    def answer(connection: socket.socket) -> bool:
        more = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items())
        head = f"HTTP/1.1 {status} Said\r\n{more}Content-Length: {len(body)}\r\n\r\n"
        connection.sendall(head.encode() + body)
        return True

    return answer


def hangs(receiver: Receiver) -> Answer:
    """No response."""

    def answer(connection: socket.socket) -> bool:
        _stay(receiver, connection)
        return False

    return answer


def hang_in_body(receiver: Receiver, *, status: int = 500) -> Answer:
    """The head and the start of a body, then nothing."""

    def answer(connection: socket.socket) -> bool:
        connection.sendall(f"HTTP/1.1 {status} Slow\r\nContent-Length: 1000\r\n\r\nbegin".encode())
        _stay(receiver, connection)
        return False

    return answer


def send_endless_head(receiver: Receiver) -> Answer:
    """An endless head, one byte at a time, so that each read succeeds."""

    def answer(connection: socket.socket) -> bool:
        connection.sendall(b"HTTP/1.1 200 Slow\r\nX-Drip: ")
        while receiver.at_work:
            connection.sendall(b"x")
            time.sleep(DRIP_SECONDS)
        return False

    return answer


def send_endless_body(receiver: Receiver, *, status: int) -> Answer:
    """An endless body, as fast as the client reads."""

    def answer(connection: socket.socket) -> bool:
        connection.sendall(f"HTTP/1.1 {status} Much\r\nContent-Length: 1000000000000\r\n\r\n".encode())
        while receiver.at_work:
            connection.sendall(b"x" * 65_536)
        return False

    return answer


def resets(connection: socket.socket) -> bool:
    """Reads the call and resets the connection."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RST_ON_CLOSE)
    return False


def closes(connection: socket.socket) -> bool:
    """Reads the call and closes the connection without a response."""
    return False


def send_invalid_http(connection: socket.socket) -> bool:
    """A response that is not HTTP."""
    connection.sendall(b"220 mail.example ESMTP\r\n\r\n")
    return False


@contextmanager
def receiver_at_work(*, tls: tuple[str, str] | None = None) -> Iterator[Receiver]:
    """`tls`: certificate and key, for https."""
    receiver = Receiver(respond_with(200))
    with socket.create_server((LOOPBACK, 0), backlog=128) as server:
        receiver.port = server.getsockname()[1]
        receiver.url = f"{'https' if tls else 'http'}://{LOOPBACK}:{receiver.port}/hooks"
        context = None
        if tls:
            context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
            context.load_cert_chain(*tls)
        acceptor = threading.Thread(target=_accept, args=(server, receiver, context), daemon=True)
        acceptor.start()
        try:
            yield receiver
        finally:
            receiver.at_work = False
            server.shutdown(socket.SHUT_RDWR)
            acceptor.join()


def _accept(server: socket.socket, receiver: Receiver, context: ssl.SSLContext | None) -> None:
    # Also after the receiver was closed: an unread call waits for its whole timeout.
    while True:
        try:
            connection, _address = server.accept()
        except OSError:
            return
        receiver.connections += 1
        threading.Thread(target=_serve, args=(connection, receiver, context), daemon=True).start()


def _serve(connection: socket.socket, receiver: Receiver, context: ssl.SSLContext | None) -> None:
    # Both sides disconnect on purpose.
    with suppress(OSError):
        if context is not None:
            connection = context.wrap_socket(connection, server_side=True)
        with connection:
            stream = connection.makefile("rb")
            while (delivery := _read(stream)) is not None:
                receiver.deliveries.append(delivery)
                if not receiver.answer(connection):
                    break
            stream.close()


def _read(stream: Any) -> Delivery | None:
    first = stream.readline()
    if not first:
        return None
    headers = {}
    while (line := stream.readline().decode().strip()) != "":
        name, _colon, value = line.partition(":")
        headers[name.lower()] = value.strip()
    return Delivery(first.split()[1].decode(), headers, stream.read(int(headers["content-length"])))


def _stay(receiver: Receiver, connection: socket.socket) -> None:
    """Wait until the client disconnects or the test ends."""
    connection.settimeout(0.1)
    while receiver.at_work:
        try:
            if not connection.recv(1):
                return
        except TimeoutError:
            continue
