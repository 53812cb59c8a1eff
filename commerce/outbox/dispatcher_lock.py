"""The lock that admits one dispatcher at a time for each destination.

It is a transaction-level advisory lock on a separate connection, so it also works behind a transaction pooler, where
each transaction may use another session. Between its statements that transaction has no snapshot, so it does not delay
vacuum. PostgreSQL releases the lock when the process ends, or after `_idle_seconds` if it is frozen.
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
"""The `application_name` of the connections that hold the locks."""

TRY_LOCK = "SELECT pg_try_advisory_xact_lock(hashtextextended(%s, 0))"
ROLLBACK = Statement("ROLLBACK")

_ANSWER_SECONDS = 5.0
"""Time limit of each statement."""
_LOOK_SECONDS = 1.0
"""Interval between checks that the lock is still held."""
_SPARE_SECONDS = 30.0


class DispatcherLock:
    """The lock of one destination, held."""

    def __init__(self, pipeline: Pipeline, limit: Statement) -> None:
        self._pipeline = pipeline
        self._limit = limit
        self._seen_at = time.monotonic()

    def is_held(self) -> bool:
        """Whether the lock is still held. Check it before every batch."""
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
    """Hold the lock of `destination` within the block; yields None if another dispatcher holds it.

    Raises django.db.Error if the database fails.
    """
    key = f"outbox:{destination}:dispatcher".encode()
    # Replaces the usual idle limit of transactions. It is the last statement, also after each check of the lock,
    # because after a SELECT the snapshot would be kept until the next statement.
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
        # Closing the connection releases the lock.
        return
    _connections.give_back(pipeline)


def close_idle_connections() -> None:
    """Close connections that hold no lock."""
    _connections.close()


def _idle_seconds() -> float:
    """The idle limit of the transaction: longer than a sink may take for a batch."""
    return _SPARE_SECONDS + 2 * float(settings.DATA_PLATFORM_TIMEOUT_SECONDS)


class _Connections:
    """A pool of connections that hold no lock at present."""

    def __init__(self) -> None:
        self._idle: list[Pipeline] = []
        os.register_at_fork(after_in_child=self._idle.clear)

    def take(self) -> Pipeline:
        """Raises psycopg.OperationalError."""
        while self._idle:
            try:
                pipeline = self._idle.pop()
            except IndexError:
                # Another thread took the last connection.
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
