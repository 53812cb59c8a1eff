"""Database connections that the requests of a web process share.

Owns how many there are, who gets one and for how long. A request borrows one with its first query and keeps it until
its answer is made, so one that asks the database nothing, or only waits, holds none.
"""

import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from django.db import OperationalError

from commerce.core import metrics
from commerce.core.waiting import Signal


class NoConnectionFree(OperationalError):
    """More requests want the database than can be answered in time."""


class Slot:
    """Room for one connection. `connection` is psycopg's, or None before it is first used and after it was lost."""

    def __init__(self) -> None:
        self.connection: Any = None


class _Turn:
    """A request that waits for a slot."""

    def __init__(self) -> None:
        self.slot: Slot | None = None
        self.came = Signal()


class SharedConnections:
    """Hands out slots, first come, first served."""

    def __init__(self, count: int, *, waiting: int, wait_seconds: float) -> None:
        """`waiting`: how many requests may wait at one time, each for `wait_seconds` at most."""
        self._count = count
        self._others: dict[str, SharedConnections] = {}
        self._free = [Slot() for _ in range(count)]
        self._turns: deque[_Turn] = deque()
        self._waiting = waiting
        self._wait_seconds = wait_seconds
        self._guard = threading.Lock()

    def of(self, alias: str) -> "SharedConnections":
        """As many connections to another server. To be taken after one of these, so that two requests that need both
        never wait for each other.
        """
        with self._guard:
            if alias not in self._others:
                self._others[alias] = SharedConnections(
                    self._count, waiting=self._waiting, wait_seconds=self._wait_seconds
                )
            return self._others[alias]

    def take(self) -> Slot:
        """Raises NoConnectionFree when too many wait already, or none came free in time."""
        with self._guard:
            if self._free:
                return self._free.pop()
            turn = _Turn()
            if len(self._turns) < self._waiting:
                self._turns.append(turn)
            else:
                turn.came.set()
        if turn.came.wait(self._wait_seconds) and turn.slot is not None:
            return turn.slot
        with self._guard:
            if turn.slot is not None:
                # It came while this request was about to give up.
                return turn.slot
            if turn in self._turns:
                self._turns.remove(turn)
        metrics.TURNED_AWAY.inc()
        raise NoConnectionFree("No database connection came free in time.")

    def give_back(self, slot: Slot) -> None:
        """The next in line has it."""
        with self._guard:
            if not self._turns:
                self._free.append(slot)
                return
            turn = self._turns.popleft()
            turn.slot = slot
            turn.came.set()

    def close(self) -> None:
        """Close the connections that nobody uses."""
        for other in self._others.values():
            other.close()
        for slot in self._free:
            if slot.connection is not None:
                slot.connection.close()
                slot.connection = None


_of_request: ContextVar[SharedConnections | None] = ContextVar("shared_connections", default=None)


def of_this_request() -> SharedConnections | None:
    """Where the request gets its connection from; None: outside of requests each thread has its own."""
    return _of_request.get()


@contextmanager
def shared_by_requests(connections: SharedConnections, give_back: Callable[[], object]) -> Iterator[None]:
    """The block answers a request. `give_back` is called at its end."""
    token = _of_request.set(connections)
    try:
        yield
    finally:
        try:
            give_back()
        finally:
            _of_request.reset(token)
