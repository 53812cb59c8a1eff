"""Several things at one moment, each on a thread and a database connection of its own.

Owns the threads and their end; never waits for time to pass, only for what is about to happen.
"""

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, TypeVar

import psycopg
from django.db import connection, connections

from commerce.core import redis
from commerce.core.locks import locked_transaction

T = TypeVar("T")

PATIENCE_SECONDS = 30.0
"""How long a test waits for something that must happen before it fails."""


def together(actions: Sequence[Callable[[], T]], *, at_once: int | None = None) -> list[T]:
    """Run the actions on `at_once` threads (default: one each) that start together; their results in order.

    What an action raises is raised here.
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
    """Run `action` on another thread while the block goes on; the block may ask for its result."""
    with _connections_closed(ThreadPoolExecutor(1)) as pool:
        yield pool.submit(action)


MEETING_SECONDS = 0.3
"""How long one waits for a rival. Where a lock keeps rivals apart nobody comes, and this time is spent in vain."""


class Meeting:
    """A place where two wait for each other: did they ever come to be there at once?"""

    def __init__(self, seconds: float = PATIENCE_SECONDS) -> None:
        self._barrier = threading.Barrier(2)
        self._seconds = seconds
        self.took_place = False

    def attend(self) -> None:
        """Wait for the other. Who comes once the meeting is over goes on at once."""
        if self.took_place:
            return
        try:
            self._barrier.wait(timeout=self._seconds)
        except threading.BrokenBarrierError:
            return
        self.took_place = True

    def wait_for_somebody(self) -> None:
        """Return once somebody waits there."""
        wait_until(lambda: self._barrier.n_waiting > 0, "somebody at the meeting")


@contextmanager
def another_session() -> Iterator["psycopg.Connection[Any]"]:
    """A connection to the test's database that Django knows nothing of; what it did not commit is undone."""
    session = psycopg.connect(**connection.get_connection_params())
    try:
        # The shop's limit for a transaction that idles is shorter than the start of a process on a busy machine.
        session.execute("SET idle_in_transaction_session_timeout = 0")
        session.commit()
        yield session
    finally:
        session.close()


@contextmanager
def row_held(table: str, row_id: int) -> Iterator[None]:
    """Other transactions that change this row wait until the end of the block."""
    with another_session() as session:
        session.execute(f'SELECT FROM "{table}" WHERE id = %s FOR UPDATE', [row_id])
        yield


@contextmanager
def lock_held(key: str) -> Iterator[None]:
    """Requests for this lock wait, as for another process."""
    redis.locks.client.set(key, "another process", px=60_000)
    try:
        yield
    finally:
        redis.locks.client.delete(key)


@contextmanager
def turn_held(key: str) -> Iterator[None]:
    """Requests for this lock wait, as for another thread of this process."""
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
    """Return as soon as `true()` is. Fails after `PATIENCE_SECONDS`."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not true():
        assert time.monotonic() < deadline, f"waited in vain: {what}"
        time.sleep(0.005)


def wait_until_blocked(count: int = 1) -> None:
    """Return as soon as `count` connections to this database wait for a lock of another transaction."""

    def waiting() -> bool:
        with connection.cursor() as cursor:
            # Inside a transaction the view would go on showing what it showed first.
            cursor.execute("SELECT pg_stat_clear_snapshot()")
            cursor.execute(
                "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
            )
            return bool(cursor.fetchone()[0] >= count)

    wait_until(waiting, f"{count} blocked connections")


@contextmanager
def _connections_closed(pool: ThreadPoolExecutor) -> Iterator[ThreadPoolExecutor]:
    """Each thread of the pool closes its connections as its last act, or the test database cannot be dropped."""
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
