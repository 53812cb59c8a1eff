"""A TCP proxy between the shop and one of its servers: forwards, cuts, stalls, slows down, redirects, loses an answer.

It does not parse the data, except for the marker that it waits for and the names of PostgreSQL's prepared statements,
which stand for their texts.
"""

import re
import socket
import struct
import threading
from contextlib import suppress
from dataclasses import dataclass, field

from commerce.embedded.ports import LOOPBACK

_CHUNK_BYTES = 65_536
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)
_PREPARED = re.compile(rb"P.{4}(\w+)\0([^\0]+)\0", re.DOTALL)
"""PostgreSQL's message Parse: length, the statement's name, its text."""


@dataclass
class _Mode:
    """The current behaviour. Read by the threads of all connections."""

    stalled: bool = False
    refused: bool = False
    drip_seconds: float = 0.0
    instead: tuple[str, int] | None = None
    lose_answer_to: bytes | None = None
    bytes_at_least: int = 0
    lost: int = 0
    guard: threading.Lock = field(default_factory=threading.Lock)

    def takes(self, piece: bytes, prepared: dict[bytes, bytes]) -> bool:
        """Whether `piece`, on its way to the server, is the request whose answer must be lost; True once."""
        if self.lose_answer_to is None or len(piece) < self.bytes_at_least:
            return False
        with self.guard:
            if self.lose_answer_to is None or not _names(self.lose_answer_to, piece, prepared):
                return False
            self.lose_answer_to = None
            self.lost += 1
            return True


class Proxy:
    """Listens on a port of its own and speaks to `host:port`.

    Attributes:
        port: where the shop connects to.
        connections: how many came so far.
    """

    def __init__(self, host: str, port: int) -> None:
        self._target = (host, port)
        self._mode = _Mode()
        self._changed = threading.Condition()
        self._pairs: set[_Pair] = set()
        self._listener = socket.create_server((LOOPBACK, 0), backlog=512)
        self.port: int = self._listener.getsockname()[1]
        self.connections = 0
        threading.Thread(target=self._accept, daemon=True, name="proxy").start()

    @property
    def answers_lost(self) -> int:
        """How often `lose_answer_to` has lost an answer."""
        return self._mode.lost

    def pass_on(self) -> None:
        """Forward everything again, including data that was held back."""
        with self._changed:
            self._mode = _Mode(lost=self._mode.lost)
            self._changed.notify_all()

    def cut(self) -> int:
        """Reset every connection (RST, both ways); returns their number. New connections are forwarded."""
        pairs = list(self._pairs)
        for pair in pairs:
            pair.reset()
        return len(pairs)

    def refuse(self) -> int:
        """Cut, and reset every new connection as well, until `pass_on`."""
        self._mode.refused = True
        return self.cut()

    def stall(self) -> None:
        """Accept connections and data, but forward nothing in either direction, until `pass_on`."""
        self._mode.stalled = True

    def drip(self, seconds: float) -> None:
        """Forward answers byte by byte with a delay of `seconds`, until `pass_on`."""
        self._mode.drip_seconds = seconds

    def lead_to(self, host: str, port: int) -> None:
        """Cut, and forward every new connection to another server, until `pass_on`."""
        self._mode.instead = (host, port)
        self.cut()

    def lose_answer_to(self, marker: bytes, *, bytes_at_least: int = 0) -> None:
        """Pass the next request that contains `marker` to the server, then cut its connection before the answer.

        A request contains it as well where it runs a statement with `marker` in its text that was prepared before on
        its connection. `bytes_at_least`: smaller requests do not count.
        The server has got it and acts; the shop does not hear of it. Once; `answers_lost` counts it.
        """
        self._mode.bytes_at_least = bytes_at_least
        self._mode.lose_answer_to = marker

    def close(self) -> None:
        """Stop listening and cut everything."""
        with suppress(OSError):
            # Closing the socket does not wake a thread that is blocked in accept().
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.pass_on()
        self.cut()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            if self._mode.refused:
                _reset(client)
                continue
            try:
                server = socket.create_connection(self._mode.instead or self._target, timeout=2)
            except OSError:
                _reset(client)
                continue
            server.settimeout(None)
            for each in (client, server):
                each.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            pair = _Pair(client, server)
            self._pairs.add(pair)
            threading.Thread(target=self._requests, args=(pair,), daemon=True).start()
            threading.Thread(target=self._answers, args=(pair,), daemon=True).start()

    def _requests(self, pair: "_Pair") -> None:
        with suppress(OSError):
            while piece := pair.client.recv(_CHUNK_BYTES):
                self._wait_while_stalled()
                pair.prepared.update(_PREPARED.findall(piece))
                if self._mode.takes(piece, pair.prepared):
                    pair.deaf = True
                pair.server.sendall(piece)
        self._end(pair)

    def _answers(self, pair: "_Pair") -> None:
        with suppress(OSError):
            while piece := pair.server.recv(_CHUNK_BYTES):
                self._wait_while_stalled()
                if pair.deaf:
                    # The answer has arrived, so the server has executed the request.
                    pair.reset()
                    break
                self._send(pair.client, piece)
        self._end(pair)

    def _send(self, client: socket.socket, piece: bytes) -> None:
        for position in range(len(piece)):
            seconds = self._mode.drip_seconds
            if not seconds:
                client.sendall(piece[position:])
                return
            client.sendall(piece[position : position + 1])
            with self._changed:
                self._changed.wait(seconds)

    def _wait_while_stalled(self) -> None:
        with self._changed:
            while self._mode.stalled:
                self._changed.wait()

    def _end(self, pair: "_Pair") -> None:
        pair.close()
        self._pairs.discard(pair)


class _Pair:
    """One connection of the shop and the one behind it. `prepared`: PostgreSQL's statements by name."""

    def __init__(self, client: socket.socket, server: socket.socket) -> None:
        self.client = client
        self.server = server
        self.prepared: dict[bytes, bytes] = {}
        self.deaf = False
        self._was_reset = False

    def reset(self) -> None:
        self._was_reset = True
        for each in (self.client, self.server):
            _reset(each)

    def close(self) -> None:
        for each in (self.client, self.server):
            if self._was_reset:
                # Another thread resets it at this time, and may not have processed this socket yet.
                _reset(each)
                continue
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()


def _names(marker: bytes, piece: bytes, prepared: dict[bytes, bytes]) -> bool:
    if marker in piece:
        return True
    # PostgreSQL's message Bind: length, the portal's name (empty), the statement's.
    bound = [rb"B.{4}\0" + name + rb"\0" for name, text in prepared.items() if marker in text]
    return any(re.search(message, piece, re.DOTALL) for message in bound)


def _reset(connection: socket.socket) -> None:
    """Close with RST, and wake the thread that reads."""
    with suppress(OSError):
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
        # Another thread may be reading: only a shutdown wakes it. The RST follows when the descriptor is closed.
        connection.shutdown(socket.SHUT_RD)
    connection.close()
