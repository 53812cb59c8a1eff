"""Reads from a streaming replica for data that may be a few seconds old: `DATABASE_REPLICA_URL`.

Checks the lag of the replica and routes reads. Two callers use it: `page_cache` for the lists that customers see, and
`commerce.staff_pages.recent` for pages of staff.

The lag is measured without comparing the clocks of two machines. A process asks the primary for the end of its WAL, and
later asks the replica for its replay position. Once the replica has replayed that position, it has everything that was
committed before the first question, so its rows are at most as old as that question.
"""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any, TypeVar

from django.conf import settings
from django.db import DEFAULT_DB_ALIAS, DatabaseError, InterfaceError, OperationalError, connections

from commerce.core import metrics
from commerce.core.sql import sqlstate

T = TypeVar("T")

logger = logging.getLogger(__name__)

REPLICA = "replica"
"""Alias of the replica in `DATABASES`."""

LEFT_ALONE_SECONDS = 10.0
"""How long the replica is not used after a failure, so that an outage does not cost every read a timeout."""
_MOST_SECONDS_BETWEEN_LOOKS = 1.0
_MOST_QUESTIONS = 64

# The insert position: with `synchronous_commit = off` a COMMIT may be visible before its record is written.
_END_OF_LOG = "SELECT pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')"
# No row if the server is not a replica any more: after a promotion it does not receive what the other primary commits.
_REPLAYED = "SELECT pg_wal_lsn_diff(pg_last_wal_replay_lsn(), '0/0') WHERE pg_is_in_recovery()"

_STATEMENT_TOO_LONG = "57014"
"""statement_timeout: the statement would take as long on the primary. A recovery conflict has another code."""

_reads_replica: ContextVar[bool] = ContextVar("reads_replica", default=False)


def read(render: Callable[[], T]) -> T:
    """The result of `render`, whose ORM reads may return rows that are `DATABASE_REPLICA_SECONDS` old.

    Writes, and SQL without a model, go to the primary. If the replica fails, `render` is called again and reads from
    the primary.
    """
    if not settings.DATABASE_REPLICA_URL:
        return render()
    if not _freshness.is_recent():
        metrics.REPLICA_READS.labels("primary").inc()
        return render()
    token = _reads_replica.set(True)
    try:
        result = render()
    except (OperationalError, InterfaceError) as error:
        if isinstance(error, OperationalError) and sqlstate(error) == _STATEMENT_TOO_LONG:
            raise
        _freshness.leave_alone(error)
    else:
        metrics.REPLICA_READS.labels("replica").inc()
        return result
    finally:
        _reads_replica.reset(token)
    metrics.REPLICA_READS.labels("primary").inc()
    return render()


class Router:
    """A database router of Django. Only in `DATABASE_ROUTERS` if `DATABASE_REPLICA_URL` is set."""

    _ALWAYS_PRIMARY = frozenset({"auth", "contenttypes", "otp_totp", "sessions"})
    """Apps with sessions and permissions. A permission that is revoked must end at once."""

    def db_for_read(self, model: Any, **_hints: Any) -> str:
        """Never None: otherwise Django reads related rows from the database of their instance, also outside `read`."""
        return (
            REPLICA if _reads_replica.get() and model._meta.app_label not in self._ALWAYS_PRIMARY else DEFAULT_DB_ALIAS
        )

    def db_for_write(self, _model: Any, **_hints: Any) -> str:
        return DEFAULT_DB_ALIAS

    def allow_relation(self, _one: Any, _other: Any, **_hints: Any) -> bool:
        """Always True: both servers have the same rows."""
        return True

    def allow_migrate(self, db: str, _app_label: str, **_hints: Any) -> bool:
        return db == DEFAULT_DB_ALIAS


class Freshness:
    """The lag of the replica, as measured by this process."""

    def __init__(self) -> None:
        self.forget()

    def forget(self) -> None:
        """Reset the state to that of a new process."""
        self._one_looks = threading.Lock()
        self._questions: deque[tuple[float, int]] = deque(maxlen=_MOST_QUESTIONS)
        self._as_of = self._looked_at = self._alone_until = float("-inf")

    def is_recent(self) -> bool:
        """Whether the replica has everything that was committed `DATABASE_REPLICA_SECONDS` ago.

        Asks both servers at intervals; between them the last result is used.
        """
        longest: float = settings.DATABASE_REPLICA_SECONDS
        now = time.monotonic()
        if now < self._alone_until:
            return False
        if now >= self._looked_at + min(longest / 4, _MOST_SECONDS_BETWEEN_LOOKS) and self._one_looks.acquire(False):
            try:
                self._look()
            finally:
                self._one_looks.release()
        return time.monotonic() - self._as_of <= longest

    def leave_alone(self, error: Exception) -> None:
        """Stop using the replica for a while after a failure."""
        logger.warning("The replica is not used for %.0f s: %s", LEFT_ALONE_SECONDS, error)
        self._alone_until = time.monotonic() + LEFT_ALONE_SECONDS
        self._as_of = float("-inf")

    def _look(self) -> None:
        asked_at = time.monotonic()
        self._looked_at = asked_at
        try:
            end_of_log = _number(DEFAULT_DB_ALIAS, _END_OF_LOG)
        except (DatabaseError, InterfaceError):
            # If the primary has failed, the read itself raises the error.
            return
        if end_of_log is not None:
            self._questions.append((asked_at, end_of_log))
        try:
            replayed = _number(REPLICA, _REPLAYED)
        except (DatabaseError, InterfaceError) as error:
            self.leave_alone(error)
            return
        if replayed is None:
            self._as_of = float("-inf")
            return
        while self._questions and self._questions[0][1] <= replayed:
            self._as_of = self._questions.popleft()[0]


def _number(alias: str, sql: str) -> int | None:
    with connections[alias].cursor() as cursor:
        cursor.execute(sql)
        row = cursor.fetchone()
    return int(row[0]) if row and row[0] is not None else None


_freshness = Freshness()


def forget() -> None:
    """Reset the state. For tests, which use several replicas."""
    _freshness.forget()
