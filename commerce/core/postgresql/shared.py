"""A pool of database connections for the requests of a web process.

A request borrows a connection with its first query and returns it when its response is complete. Requests that run no
queries, or only wait, hold none.
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
    """More requests need the database than can be answered in time."""


class Slot:
    """A place for one connection. `connection` is psycopg's; None before the first use and after a failure."""

    def __init__(self) -> None:
        self.connection: Any = None


class _Turn:
    """A request in the queue for a slot."""

    def __init__(self) -> None:
        self.slot: Slot | None = None
        self.came = Signal()


class SharedConnections:
    """Hands out slots in order of arrival."""

    def __init__(self, count: int, *, waiting: int, wait_seconds: float) -> None:
        """`waiting`: how many requests may wait at the same time, each for `wait_seconds` at most."""
        self._count = count
        self._others: dict[str, SharedConnections] = {}
        self._free = [Slot() for _ in range(count)]
        self._turns: deque[_Turn] = deque()
        self._waiting = waiting
        self._wait_seconds = wait_seconds
        self._guard = threading.Lock()

    def of(self, alias: str) -> "SharedConnections":
        """The same number of connections to another server. Must be taken after one of these, so that two requests that
        need both cannot wait for each other.
        """
        with self._guard:
            if alias not in self._others:
                self._others[alias] = SharedConnections(
                    self._count, waiting=self._waiting, wait_seconds=self._wait_seconds
                )
            return self._others[alias]

    def take(self) -> Slot:
        """Wait for a slot. Raises NoConnectionFree if too many requests wait already, or after `wait_seconds`."""
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
                # The slot was handed over while this request gave up.
                return turn.slot
            if turn in self._turns:
                self._turns.remove(turn)
        metrics.TURNED_AWAY.inc()
        raise NoConnectionFree("No database connection came free in time.")

    def give_back(self, slot: Slot) -> None:
        """Pass the slot to the next request in the queue."""
        with self._guard:
            if not self._turns:
                self._free.append(slot)
                return
            turn = self._turns.popleft()
            turn.slot = slot
            turn.came.set()

    def close(self) -> None:
        """Close the idle connections."""
        for other in self._others.values():
            other.close()
        for slot in self._free:
            if slot.connection is not None:
                slot.connection.close()
                slot.connection = None


_of_request: ContextVar[SharedConnections | None] = ContextVar("shared_connections", default=None)


def of_this_request() -> SharedConnections | None:
    """The pool of the current request; None outside of requests, where each thread has its own connection."""
    return _of_request.get()


@contextmanager
def shared_by_requests(connections: SharedConnections, give_back: Callable[[], object]) -> Iterator[None]:
    """Make the pool available to a request during the block. `give_back` is called at its end."""
    token = _of_request.set(connections)
    try:
        yield
    finally:
        try:
            give_back()
        finally:
            _of_request.reset(token)
