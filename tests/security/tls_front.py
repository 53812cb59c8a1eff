"""A TLS proxy in front of a server of the test run that does not support TLS itself; one thread per connection."""

import socket
import ssl
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

from commerce.embedded.ports import LOOPBACK
from tests.certificates import Certificates

_SSL_REQUEST = 80_877_103
"""The first message of a PostgreSQL client that requests TLS."""


@dataclass
class TlsFront:
    """The address, and the TLS version of each connection with a successful handshake."""

    port: int
    handshakes: list[str | None] = field(default_factory=list)


@contextmanager
def tls_front(certificates: Certificates, server: tuple[str, int], *, postgresql: bool = False) -> Iterator[TlsFront]:
    """Run the proxy during the block, with the certificate `server`. `postgresql`: clients request TLS first."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificates.path("server.pem"), certificates.path("server.key"))
    with socket.create_server((LOOPBACK, 0)) as listener:
        front = TlsFront(listener.getsockname()[1])
        threading.Thread(target=_accept, args=(listener, context, server, front, postgresql), daemon=True).start()
        yield front
        # Closing the socket does not wake a thread that is blocked in accept().
        listener.shutdown(socket.SHUT_RDWR)


def _accept(
    listener: socket.socket, context: ssl.SSLContext, server: tuple[str, int], front: TlsFront, postgresql: bool
) -> None:
    with suppress(OSError):
        while True:
            client, _address = listener.accept()
            threading.Thread(target=_serve, args=(client, context, server, front, postgresql), daemon=True).start()


def _serve(
    client: socket.socket, context: ssl.SSLContext, server: tuple[str, int], front: TlsFront, postgresql: bool
) -> None:
    with suppress(OSError), client, socket.create_connection(server) as inside:
        if postgresql:
            if struct.unpack("!ii", client.recv(8, socket.MSG_WAITALL)) != (8, _SSL_REQUEST):
                return
            client.sendall(b"S")
        with context.wrap_socket(client, server_side=True) as outside:
            front.handshakes.append(outside.version())
            answers = threading.Thread(target=_copy, args=(inside, outside), daemon=True)
            answers.start()
            _copy(outside, inside)
            answers.join()


def _copy(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while piece := source.recv(65_536):
            target.sendall(piece)
    with suppress(OSError):
        target.shutdown(socket.SHUT_WR)
