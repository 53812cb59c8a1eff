"""A load balancer in front of several web servers: polls their readiness, and assigns new connections to ready ones.

A connection stays with its server until one of the two closes it.
"""

import socket
import threading
from collections.abc import Sequence
from contextlib import suppress
from http.client import HTTPException
from itertools import count
from urllib.request import urlopen

from commerce.embedded.ports import LOOPBACK

LOOK_SECONDS = 0.1
_CHUNK_BYTES = 65_536


class Balancer:
    """Listens on `port` and forwards to the servers at `ports` in turn."""

    def __init__(self, port: int, ports: Sequence[int]) -> None:
        self.port = port
        self._ports = ports
        self._ready: frozenset[int] = frozenset()
        self._turns = count()
        self._closed = threading.Event()
        self._listener = socket.create_server((LOOPBACK, port), backlog=512)
        for work in (self._look, self._accept):
            threading.Thread(target=work, daemon=True, name="balancer").start()

    def is_ready(self, port: int) -> bool:
        """Whether the server was ready at the last poll."""
        return port in self._ready

    def close(self) -> None:
        """Accept no more connections."""
        self._closed.set()
        with suppress(OSError):
            # Closing the socket does not wake a thread that is blocked in accept().
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _look(self) -> None:
        while not self._closed.wait(LOOK_SECONDS):
            self._ready = frozenset(filter(reports_ready, self._ports))

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            ready = sorted(self._ready) or self._ports
            port = ready[next(self._turns) % len(ready)]
            try:
                server = socket.create_connection((LOOPBACK, port), timeout=5)
            except OSError:
                client.close()
                continue
            for each in (client, server):
                each.settimeout(None)
                each.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            threading.Thread(target=_pass_on, args=(client, server), daemon=True).start()
            threading.Thread(target=_pass_on, args=(server, client), daemon=True).start()


def reports_ready(port: int) -> bool:
    """Whether the web server at this port reports that it is ready."""
    try:
        with urlopen(f"http://{LOOPBACK}:{port}/readyz", timeout=2) as answer:
            return bool(answer.status == 200)
    except (OSError, HTTPException):
        return False


def _pass_on(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while piece := source.recv(_CHUNK_BYTES):
            target.sendall(piece)
    for each in (source, target):
        with suppress(OSError):
            each.shutdown(socket.SHUT_RDWR)
        each.close()
