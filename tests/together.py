"""Concurrency in tests: several actions at the same time, each on its own thread and database connection.

Waits for events, not for fixed times.
"""

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, TypeVar

import psycopg
from django.db import connection, connections

from commerce.core import redis_services
from commerce.core.locks import locked_transaction

T = TypeVar("T")

PATIENCE_SECONDS = 30.0
"""How long a test waits for an expected event before it fails."""


def together(actions: Sequence[Callable[[], T]], *, at_once: int | None = None) -> list[T]:
    """Run the actions on `at_once` threads (default: one each) that start together; returns their results in order.

    Exceptions of an action are raised here.
    """
    threads = min(at_once or len(actions), len(actions))
    start = threading.Barrier(threads)
    started = threading.local()

    def run(action: Callable[[], T]) -> T:
        if not hasattr(started, "yes"):
            started.yes = True
            start.wait(timeout=PATIENCE_SECONDS)
        return action()

    with _connections_closed(ThreadPoolExecutor(threads)) as pool:
        futures = [pool.submit(run, action) for action in actions]
        return [future.result(timeout=PATIENCE_SECONDS) for future in futures]


@contextmanager
def meanwhile(action: Callable[[], T]) -> Iterator["Future[T]"]:
    """Run `action` on another thread during the block, which may use its result."""
    with _connections_closed(ThreadPoolExecutor(1)) as pool:
        yield pool.submit(action)


MEETING_SECONDS = 0.3
"""How long to wait for a second thread. If a lock prevents the meeting, this time always passes."""


class Meeting:
    """A point where two threads wait for each other, to find out whether both reach it at the same time."""

    def __init__(self, seconds: float = PATIENCE_SECONDS) -> None:
        self._barrier = threading.Barrier(2)
        self._seconds = seconds
        self.took_place = False

    def attend(self) -> None:
        """Wait for the other thread. Threads that arrive after the meeting continue at once."""
        if self.took_place:
            return
        try:
            self._barrier.wait(timeout=self._seconds)
        except threading.BrokenBarrierError:
            return
        self.took_place = True

    def wait_for_first(self) -> None:
        """Wait until a thread waits at this point."""
        wait_until(lambda: self._barrier.n_waiting > 0, "a thread at the meeting")


@contextmanager
def another_session() -> Iterator["psycopg.Connection[Any]"]:
    """A connection to the test database outside of Django; uncommitted changes are rolled back."""
    session = psycopg.connect(**connection.get_connection_params())
    try:
        # The shop's idle-in-transaction timeout is shorter than the start of a process on a busy machine.
        session.execute("SET idle_in_transaction_session_timeout = 0")
        session.commit()
        yield session
    finally:
        session.close()


@contextmanager
def row_held(table: str, row_id: int) -> Iterator[None]:
    """Lock this row until the end of the block, so that other transactions wait for it."""
    with another_session() as session:
        session.execute(f'SELECT FROM "{table}" WHERE id = %s FOR UPDATE', [row_id])
        yield


@contextmanager
def lock_held(key: str) -> Iterator[None]:
    """Hold this lock like another process."""
    redis_services.locks.client.set(key, "another process", px=60_000)
    try:
        yield
    finally:
        redis_services.locks.client.delete(key)


@contextmanager
def turn_held(key: str) -> Iterator[None]:
    """Hold this lock like another thread of this process."""
    held, done = threading.Event(), threading.Event()

    def hold() -> None:
        with locked_transaction(key):
            held.set()
            done.wait(timeout=PATIENCE_SECONDS)

    with meanwhile(hold) as holder:
        assert held.wait(timeout=PATIENCE_SECONDS)
        try:
            yield
        finally:
            done.set()
            holder.result()


def wait_until(true: Callable[[], Any], what: str) -> None:
    """Wait until `true()` is true. Fails after `PATIENCE_SECONDS`."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not true():
        assert time.monotonic() < deadline, f"waited in vain: {what}"
        time.sleep(0.005)


def wait_until_blocked(count: int = 1) -> None:
    """Wait until `count` connections to this database wait for a lock of another transaction."""

    def waiting() -> bool:
        with connection.cursor() as cursor:
            # Within a transaction the view would return the same snapshot again.
            cursor.execute("SELECT pg_stat_clear_snapshot()")
            cursor.execute(
                "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
            )
            return bool(cursor.fetchone()[0] >= count)

    wait_until(waiting, f"{count} blocked connections")


@contextmanager
def _connections_closed(pool: ThreadPoolExecutor) -> Iterator[ThreadPoolExecutor]:
    """Each thread of the pool closes its connections at its end; otherwise the test database cannot be dropped."""
    with pool:
        try:
            yield pool
        finally:
            threads = len(pool._threads)
            if threads:
                last = threading.Barrier(threads)

                def close() -> None:
                    last.wait(timeout=PATIENCE_SECONDS)
                    connections.close_all()

                closed = [pool.submit(close) for _ in range(threads)]
                for each in closed:
                    each.result(timeout=PATIENCE_SECONDS)
