"""The database engine: Django's, with connections shared by requests and a cheap check of kept connections.

It also sends all integers as one type, and can read every time that PostgreSQL can store.
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
    """psycopg's connection, which lets other tasks run while a request waits for the server, up to a time limit."""

    def wait(self, generator: Any, interval: float = 0.1, timeout: float | None = None) -> Any:
        """Raises psycopg.OperationalError, and closes the connection, if the server does not answer within
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
    """Disable the time limit of answers during the block. For requests of the back-office."""
    token = _waits_on.set(True)
    try:
        yield
    finally:
        _waits_on.reset(token)


EARLIEST_READ = datetime(1, 1, 2, tzinfo=UTC)
LATEST_READ = datetime(9999, 12, 30, tzinfo=UTC)
"""One day less than Python's maximum, so that the time can be converted to any time zone."""


class TimeLoader(TimestamptzLoader):
    """Reads a `timestamptz`. A time outside of Python's range is read as the nearest one within it.

    PostgreSQL's times go from 4713 BC to the year 294276, and include infinity. psycopg raises DataError for those that
    Python cannot represent, so one such row would make a whole list fail.
    """

    timezone = UTC
    """Same attribute as in Django's loader: the time zone of the connection."""

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
    """PostgreSQL with connections that belong to a thread, or are borrowed for a request."""

    # Django looks here for `connect` and for the error classes.
    Database: Any = SimpleNamespace(**{**vars(psycopg), "connect": Connection.connect})
    _is_server_suitable = False

    def __init__(self, *arguments: Any, **keywords: Any) -> None:
        super().__init__(*arguments, **keywords)
        self._borrowed: tuple[SharedConnections, Slot] | None = None
        if tracing.on:
            self.execute_wrappers.append(tracing.database_span)

    def connect(self) -> None:
        """Use the open connection of a borrowed slot, or connect."""
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
        # Django's own `connect` does the same for a new connection. This one is new to the thread.
        self.connection = kept
        self.autocommit = True
        self.in_atomic_block = self.needs_rollback = self.closed_in_transaction = self.errors_occurred = False
        self.savepoint_ids, self.atomic_blocks, self.run_on_commit = [], [], []
        self.health_check_enabled, self.health_check_done = True, True
        self.close_at = None

    def get_new_connection(self, conn_params: Any) -> Any:
        """Send all integers as bigint. By default psycopg chooses the smallest type, and PostgreSQL would prepare the
        same statement once per combination of types.
        """
        connection = in_thread(partial(super().get_new_connection, conn_params))
        connection.adapters.register_dumper(int, Int8Dumper)
        connection.adapters.register_loader("timestamptz", TimeLoader)
        return connection

    def init_connection_state(self) -> None:
        """Raise an error if the shop cannot run on this server, before the first statement. Once per process."""
        super().init_connection_state()
        if not DatabaseWrapper._is_server_suitable:
            require_suitable(self.connection)
            DatabaseWrapper._is_server_suitable = True

    def give_back(self) -> None:
        """Return a borrowed connection. The next request uses it if it is still usable."""
        if self._borrowed is None:
            return
        (shared, slot), self._borrowed = self._borrowed, None
        connection, self.connection = self.connection, None
        try:
            # After an error the connection may lead to a server that is not the primary any more.
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
        """Replaces Django's check, a `SELECT 1` that costs a round trip per request.

        After an error a connection is not usable: its server may not be the primary any more.
        """
        return not self.errors_occurred and _is_usable(self.connection)


def _is_usable(connection: Any) -> bool:
    """An idle connection has no data to read. If its socket is readable, the server has closed it or is about to
    (restart, terminated backend). It is then replaced before a statement fails on it.
    """
    if connection is None or connection.closed:
        return False
    return not wait_for(connection.fileno(), READABLE, 0)


def give_back_connections() -> None:
    """Return the connections that the request has borrowed. Called at its end."""
    for connection in connections.all(initialized_only=True):
        if isinstance(connection, DatabaseWrapper):
            connection.give_back()


@contextmanager
def borrowed_connections() -> Iterator[None]:
    """Borrow connections during the block, as a request does. For threads that work for a request."""
    shared = of_this_request()
    if shared is None:
        yield
        return
    with shared_by_requests(shared, give_back_connections):
        yield


class _OfTaskOrThread:
    """Attributes that are local to a task, or to a thread outside of tasks."""

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
    """Give each task its own `django.db.connection`. In Django all tasks of a thread share one."""
    connections._connections = _OfTaskOrThread()  # type: ignore[attr-defined]  # there is no public API
