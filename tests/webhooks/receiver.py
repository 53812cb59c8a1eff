"""A controllable webhook receiver: a real socket on the loopback that behaves well or badly.

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
    """One POST as it came."""

    path: str
    headers: dict[str, str]
    """By name in lower case."""
    body: bytes

    @property
    def id(self) -> str:
        return self.headers["webhook-id"]

    def event(self, secret: str) -> Any:
        """The event; raises WebhookVerificationError where the signature is not by this secret."""
        return Webhook(secret).verify(self.body, self.headers)


Answer = Callable[[socket.socket], bool]
"""Answers one call; says whether the connection is kept."""


@dataclass
class Receiver:
    """How the next calls are answered, and what came so far."""

    answer: Answer
    url: str = ""
    port: int = 0
    deliveries: list[Delivery] = field(default_factory=list)
    connections: int = 0
    at_work: bool = True

    @property
    def ids(self) -> list[str]:
        return [delivery.id for delivery in self.deliveries]


def says(status: int, body: bytes = b"ok", **headers: str) -> Answer:
    """A whole answer."""

    def answer(connection: socket.socket) -> bool:
        more = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items())
        head = f"HTTP/1.1 {status} Said\r\n{more}Content-Length: {len(body)}\r\n\r\n"
        connection.sendall(head.encode() + body)
        return True

    return answer


def hangs(receiver: Receiver) -> Answer:
    """No answer at all."""

    def answer(connection: socket.socket) -> bool:
        _stay(receiver, connection)
        return False

    return answer


def hangs_mid_answer(receiver: Receiver, *, status: int = 500) -> Answer:
    """A head and the beginning of a body, and then nothing."""

    def answer(connection: socket.socket) -> bool:
        connection.sendall(f"HTTP/1.1 {status} Slow\r\nContent-Length: 1000\r\n\r\nbegin".encode())
        _stay(receiver, connection)
        return False

    return answer


def drips_its_head(receiver: Receiver) -> Answer:
    """A head that never ends, a byte at a time, so that each read of it succeeds."""

    def answer(connection: socket.socket) -> bool:
        connection.sendall(b"HTTP/1.1 200 Slow\r\nX-Drip: ")
        while receiver.at_work:
            connection.sendall(b"x")
            time.sleep(DRIP_SECONDS)
        return False

    return answer


def talks_without_end(receiver: Receiver, *, status: int) -> Answer:
    """A body of a terabyte, as fast as it is read."""

    def answer(connection: socket.socket) -> bool:
        connection.sendall(f"HTTP/1.1 {status} Much\r\nContent-Length: 1000000000000\r\n\r\n".encode())
        while receiver.at_work:
            connection.sendall(b"x" * 65_536)
        return False

    return answer


def resets(connection: socket.socket) -> bool:
    """The call is read and the connection is reset."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RST_ON_CLOSE)
    return False


def closes(connection: socket.socket) -> bool:
    """The call is read and the connection is closed without an answer."""
    return False


def speaks_nonsense(connection: socket.socket) -> bool:
    """An answer that is no HTTP."""
    connection.sendall(b"220 mail.example ESMTP\r\n\r\n")
    return False


@contextmanager
def receiver_at_work(*, tls: tuple[str, str] | None = None) -> Iterator[Receiver]:
    """`tls`: certificate and key, for https."""
    receiver = Receiver(says(200))
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
    # Also after `at_work`: a call that is never read waits for its whole timeout.
    while True:
        try:
            connection, _address = server.accept()
        except OSError:
            return
        receiver.connections += 1
        threading.Thread(target=_serve, args=(connection, receiver, context), daemon=True).start()


def _serve(connection: socket.socket, receiver: Receiver, context: ssl.SSLContext | None) -> None:
    # The shop hangs up on purpose, and so do we.
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
    """Until the other side hangs up, or the test is over."""
    connection.settimeout(0.1)
    while receiver.at_work:
        try:
            if not connection.recv(1):
                return
        except TimeoutError:
            continue
