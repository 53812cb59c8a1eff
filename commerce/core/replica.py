"""Reads from a streaming replica, for what may be a few seconds old: `DATABASE_REPLICA_URL`.

Owns whether the replica is recent enough, and which server a read goes to; who may read old rows is decided by the
callers: `page_cache` for the lists that customers see, `commerce.staff_pages.recent` for pages of staff.

How old is measured without comparing the clocks of two machines. A process asks the primary for the end of its log, and
later asks the replica how far it has replayed. Once it has replayed that position, it has everything that was committed
before the question, so the rows read from it are at most as old as the question.
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
"""Its name in `DATABASES`."""

LEFT_ALONE_SECONDS = 10.0
"""After a failure, so that a replica that is away does not cost every read a timeout."""
_MOST_SECONDS_BETWEEN_LOOKS = 1.0
_MOST_QUESTIONS = 64

# Where the next record goes: with `synchronous_commit = off` a COMMIT may be visible before its record is written.
_END_OF_LOG = "SELECT pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')"
# NULL where the server is no replica any more: a primary of its own has not what the other one commits.
_REPLAYED = "SELECT pg_wal_lsn_diff(pg_last_wal_replay_lsn(), '0/0') WHERE pg_is_in_recovery()"

_STATEMENT_TOO_LONG = "57014"
"""It would be as long on the primary. One that replaying has interrupted has another code."""

_reads_replica: ContextVar[bool] = ContextVar("reads_replica", default=False)


def read(render: Callable[[], T]) -> T:
    """The result of `render`, whose ORM reads may be `DATABASE_REPLICA_SECONDS` old.

    Its writes, and SQL that names no model, go to the primary. Where the replica fails meanwhile, `render` is called
    once more and reads from the primary.
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
    """Django's database router. In `DATABASE_ROUTERS` only with `DATABASE_REPLICA_URL`."""

    _ALWAYS_PRIMARY = frozenset({"auth", "contenttypes", "otp_totp", "sessions"})
    """Apps whose rows decide who may do what: a right that was taken away has ended at once."""

    def db_for_read(self, model: Any, **_hints: Any) -> str:
        """Never None: Django would then go on reading from where a row's owner was read, outside of `read` as well."""
        return (
            REPLICA if _reads_replica.get() and model._meta.app_label not in self._ALWAYS_PRIMARY else DEFAULT_DB_ALIAS
        )

    def db_for_write(self, _model: Any, **_hints: Any) -> str:
        return DEFAULT_DB_ALIAS

    def allow_relation(self, _one: Any, _other: Any, **_hints: Any) -> bool:
        """The same rows, whichever server they were read from."""
        return True

    def allow_migrate(self, db: str, _app_label: str, **_hints: Any) -> bool:
        return db == DEFAULT_DB_ALIAS


class Freshness:
    """How recent the replica is, as this process knows it."""

    def __init__(self) -> None:
        self.forget()

    def forget(self) -> None:
        """As in a process that has just started."""
        self._one_looks = threading.Lock()
        self._questions: deque[tuple[float, int]] = deque(maxlen=_MOST_QUESTIONS)
        self._as_of = self._looked_at = self._alone_until = float("-inf")

    def is_recent(self) -> bool:
        """Whether the replica has everything that was committed `DATABASE_REPLICA_SECONDS` ago.

        Asks both servers now and then; the other requests meanwhile go by the last answer.
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
        """The replica has failed."""
        logger.warning("The replica is left alone for %.0f s: %s", LEFT_ALONE_SECONDS, error)
        self._alone_until = time.monotonic() + LEFT_ALONE_SECONDS
        self._as_of = float("-inf")

    def _look(self) -> None:
        asked_at = time.monotonic()
        self._looked_at = asked_at
        try:
            end_of_log = _number(DEFAULT_DB_ALIAS, _END_OF_LOG)
        except (DatabaseError, InterfaceError):
            # The read finds out for itself what is wrong with the primary.
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
    """Know nothing of the replica: for tests, which have several."""
    _freshness.forget()
