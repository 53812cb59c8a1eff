"""One dispatcher at a time for each destination.

Owns the lock and the connections that hold it. Never reads or writes a row.

The lock lasts as long as a transaction of a connection of its own, so it means the same behind a transaction pooler,
which gives each transaction another session. Between its statements that transaction has no snapshot: it holds back no
vacuum. PostgreSQL ends the lock with the process that holds it; where that process is frozen, after `_idle_seconds`.
"""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
from django.conf import settings
from django.db import connection

from commerce.core.pipeline import BEGIN, Pipeline, Statement

APPLICATION_NAME = "commerce-dispatcher"
"""As which PostgreSQL lists the connections that hold the locks."""

TRY_LOCK = "SELECT pg_try_advisory_xact_lock(hashtextextended(%s, 0))"
ROLLBACK = Statement("ROLLBACK")

_ANSWER_SECONDS = 5.0
"""How long PostgreSQL may take for any of these."""
_LOOK_SECONDS = 1.0
"""A lock that was seen held so long ago is looked at again."""
_SPARE_SECONDS = 30.0


class DispatcherLock:
    """The lock of one destination, held."""

    def __init__(self, pipeline: Pipeline, limit: Statement) -> None:
        self._pipeline = pipeline
        self._limit = limit
        self._seen_at = time.monotonic()

    def is_held(self) -> bool:
        """Whether PostgreSQL still keeps it for us. To be asked before every batch."""
        if not self._pipeline.is_usable:
            return False
        if time.monotonic() > self._seen_at + _LOOK_SECONDS:
            try:
                self._pipeline.run([self._limit], deadline=time.monotonic() + _ANSWER_SECONDS)
            except psycopg.Error:
                return False
            self._seen_at = time.monotonic()
        return True


@contextmanager
def sole_dispatcher(destination: str) -> Iterator[DispatcherLock | None]:
    """Hold the lock of `destination` for the length of the block; None where another dispatcher holds it.

    Raises django.db.Error where the database fails.
    """
    key = f"outbox:{destination}:dispatcher".encode()
    # In place of the limit for transactions that wait for Python. It is the last statement, also when the lock is
    # looked at again, because a SELECT would keep its snapshot until the next one.
    limit = Statement(f"SET LOCAL idle_in_transaction_session_timeout = {1_000 * _idle_seconds():.0f}")
    with connection.wrap_database_errors:
        pipeline = _connections.take()
        _, [(is_ours,)], _ = pipeline.run(
            [BEGIN, Statement(TRY_LOCK, (key,)), limit], deadline=time.monotonic() + _ANSWER_SECONDS
        )
    try:
        yield DispatcherLock(pipeline, limit) if is_ours else None
    except BaseException:
        pipeline.close()
        raise
    try:
        pipeline.run([ROLLBACK], deadline=time.monotonic() + _ANSWER_SECONDS)
    except psycopg.Error:
        # The lock ends with the connection, which is closed.
        return
    _connections.give_back(pipeline)


def close_idle_connections() -> None:
    """Close the connections that hold no lock."""
    _connections.close()


def _idle_seconds() -> float:
    """Longer than a sink may take for a batch."""
    return _SPARE_SECONDS + 2 * float(settings.DATA_PLATFORM_TIMEOUT_SECONDS)


class _Connections:
    """Connections that hold no lock now: as many as dispatchers have worked at one time."""

    def __init__(self) -> None:
        self._idle: list[Pipeline] = []
        os.register_at_fork(after_in_child=self._idle.clear)

    def take(self) -> Pipeline:
        """Raises psycopg.OperationalError."""
        while self._idle:
            try:
                pipeline = self._idle.pop()
            except IndexError:
                # Another thread was faster.
                break
            if pipeline.is_usable:
                return pipeline
            pipeline.close()
        return Pipeline(APPLICATION_NAME)

    def give_back(self, pipeline: Pipeline) -> None:
        self._idle.append(pipeline)

    def close(self) -> None:
        while self._idle:
            self._idle.pop().close()


_connections = _Connections()
