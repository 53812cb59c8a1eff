"""The database engine: Django's own, with connections that requests share, a cheap look at a kept connection, one
type for integers and times that can always be read.

Owns how connections are kept, how integers are sent and how times are read; never changes what statements say.
"""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from functools import partial
from types import SimpleNamespace
from typing import Any

import psycopg
from django.conf import settings
from django.db import DEFAULT_DB_ALIAS, connections
from django.db.backends.postgresql import base
from psycopg import DataError
from psycopg.pq import TransactionStatus
from psycopg.types.datetime import TimestamptzLoader
from psycopg.types.numeric import Int8Dumper
from psycopg.waiting import Ready, Wait

from commerce.core import tracing
from commerce.core.postgresql.server import require_suitable
from commerce.core.postgresql.shared import SharedConnections, Slot, of_this_request, shared_by_requests
from commerce.core.waiting import READABLE, WRITABLE, current_task, in_thread, wait_for

_EVENTS = {Wait.R: READABLE, Wait.W: WRITABLE, Wait.RW: READABLE | WRITABLE}
_READY = {0: Ready.NONE, READABLE: Ready.R, WRITABLE: Ready.W, READABLE | WRITABLE: Ready.RW}


class Connection(psycopg.Connection[Any]):
    """psycopg's, which lets other tasks run while a request waits for the server, and waits no longer than it may."""

    def wait(self, generator: Any, interval: float = 0.1, timeout: float | None = None) -> Any:
        """Raises psycopg.OperationalError, and closes the connection, where the server is silent for
        `DATABASE_ANSWER_SECONDS`.
        """
        is_limited = of_this_request() is not None and not _waits_on.get()
        if not is_limited and current_task() is None:
            return super().wait(generator, interval, timeout)
        socket = self.pgconn.socket
        deadline = time.monotonic() + settings.DATABASE_ANSWER_SECONDS
        try:
            wanted = next(generator)
            while True:
                ready = wait_for(socket, _EVENTS[wanted], interval)
                if not ready and is_limited and time.monotonic() > deadline:
                    self.close()
                    raise psycopg.OperationalError("PostgreSQL did not answer in time.")
                wanted = generator.send(_READY[ready]) or wanted
        except StopIteration as done:
            return done.value


_waits_on: ContextVar[bool] = ContextVar("waits_on", default=False)


@contextmanager
def long_statements() -> Iterator[None]:
    """Within the block a request of the back-office waits for an answer as long as it takes."""
    token = _waits_on.set(True)
    try:
        yield
    finally:
        _waits_on.reset(token)


EARLIEST_READ = datetime(1, 1, 2, tzinfo=UTC)
LATEST_READ = datetime(9999, 12, 30, tzinfo=UTC)
"""A day away from Python's own limits, so that a moment can be shown in any time zone."""


class TimeLoader(TimestamptzLoader):
    """Reads a `timestamptz`. What Python has no time for is read as the nearest one that it has.

    PostgreSQL's times go from 4713 BC to the year 294276, and to infinity. psycopg raises DataError for them, so that
    one such row would cost the whole list in which it is.
    """

    timezone = UTC
    """As Django's own loader names it; the zone of the connection."""

    def load(self, data: Any) -> datetime:
        try:
            moment: datetime = super().load(data).replace(tzinfo=UTC)
        except DataError:
            text = bytes(data)
            return EARLIEST_READ if text.endswith(b"BC") or text.startswith(b"-") else LATEST_READ
        if moment.year in (1, 9999):
            return max(EARLIEST_READ, min(moment, LATEST_READ))
        return moment


class DatabaseWrapper(base.DatabaseWrapper):
    """PostgreSQL over connections that live as long as their thread, or are borrowed for a request."""

    # Where Django looks for `connect`, and for the classes of errors.
    Database: Any = SimpleNamespace(**{**vars(psycopg), "connect": Connection.connect})
    _is_server_suitable = False

    def __init__(self, *arguments: Any, **keywords: Any) -> None:
        super().__init__(*arguments, **keywords)
        self._borrowed: tuple[SharedConnections, Slot] | None = None
        if tracing.on:
            self.execute_wrappers.append(tracing.database_span)

    def connect(self) -> None:
        """Take over the kept connection of a borrowed slot, or connect."""
        shared = of_this_request()
        if shared is not None and self._borrowed is None:
            if self.alias != DEFAULT_DB_ALIAS:
                shared = shared.of(self.alias)
            self._borrowed = shared, shared.take()
        kept = self._borrowed[1].connection if self._borrowed is not None else None
        if not _is_usable(kept):
            if kept is not None:
                kept.close()
            super().connect()
            return
        # What Django's own `connect` sets up: the connection is new to this thread.
        self.connection = kept
        self.autocommit = True
        self.in_atomic_block = self.needs_rollback = self.closed_in_transaction = self.errors_occurred = False
        self.savepoint_ids, self.atomic_blocks, self.run_on_commit = [], [], []
        self.health_check_enabled, self.health_check_done = True, True
        self.close_at = None

    def get_new_connection(self, conn_params: Any) -> Any:
        """psycopg sends an integer as the smallest type that holds it, and prepares a statement once per combination
        of types; sent as bigint, whatever their size, each statement is planned once.
        """
        connection = in_thread(partial(super().get_new_connection, conn_params))
        connection.adapters.register_dumper(int, Int8Dumper)
        connection.adapters.register_loader("timestamptz", TimeLoader)
        return connection

    def init_connection_state(self) -> None:
        """Refuse a server that the shop cannot work on, before its first statement. Once in each process."""
        super().init_connection_state()
        if not DatabaseWrapper._is_server_suitable:
            require_suitable(self.connection)
            DatabaseWrapper._is_server_suitable = True

    def give_back(self) -> None:
        """End the loan of a connection, which goes on to the next request if it can be used."""
        if self._borrowed is None:
            return
        (shared, slot), self._borrowed = self._borrowed, None
        connection, self.connection = self.connection, None
        try:
            # A connection on which PostgreSQL has failed may lead to a server that is no primary any more.
            idle = (
                connection is not None
                and not self.errors_occurred
                and connection.info.transaction_status == TransactionStatus.IDLE
            )
            if connection is not None and not idle:
                connection.close()
            slot.connection = connection if idle else None
        finally:
            shared.give_back(slot)

    def is_usable(self) -> bool:
        """Django asks `is_usable` once per request; its own answer is a `SELECT 1`, a round trip on every request.

        A connection on which PostgreSQL has failed may lead to a server that is no primary any more.
        """
        return not self.errors_occurred and _is_usable(self.connection)


def _is_usable(connection: Any) -> bool:
    """An idle PostgreSQL connection has nothing to say. When its socket is readable the server has closed it or is
    about to (restart, terminated backend), so it is replaced before a statement is lost on it.
    """
    if connection is None or connection.closed:
        return False
    return not wait_for(connection.fileno(), READABLE, 0)


def give_back_connections() -> None:
    """The request is over: what it has borrowed goes back."""
    for connection in connections.all(initialized_only=True):
        if isinstance(connection, DatabaseWrapper):
            connection.give_back()


@contextmanager
def borrowed_connections() -> Iterator[None]:
    """In a thread that works for a request: the block borrows connections as the request does."""
    shared = of_this_request()
    if shared is None:
        yield
        return
    with shared_by_requests(shared, give_back_connections):
        yield


class _OfTaskOrThread:
    """Attributes that each task has for itself, and each thread."""

    def __init__(self) -> None:
        vars(self)["_threads"] = threading.local()

    def _own(self) -> Any:
        return current_task() or vars(self)["_threads"]

    def __getattr__(self, name: str) -> Any:
        return getattr(self._own(), name)

    def __setattr__(self, name: str, value: Any) -> None:
        setattr(self._own(), name, value)

    def __delattr__(self, name: str) -> None:
        delattr(self._own(), name)


def separate_connections_of_tasks() -> None:
    """Let each task have its own `django.db.connection`, where Django gives all tasks of a thread the same."""
    connections._connections = _OfTaskOrThread()  # type: ignore[attr-defined]  # no public way
