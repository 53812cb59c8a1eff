"""A group: writes that share one transaction.

Runs the two round trips of the transaction and sets the outcome of each write. `group_commit` chooses the members of a
group and the time when it runs.
"""

import time
from collections.abc import Callable, Sequence
from typing import Any, Protocol, TypeVar

import psycopg
from django.conf import settings
from django.db import connection
from django.utils import timezone

from commerce.core.locks import try_advisory_locks
from commerce.core.pipeline import BEGIN, COMMIT, NoAnswer, Pipeline, Statement
from commerce.core.transaction import RowBusy, Transaction, call_and_log
from commerce.core.waiting import Signal

T_co = TypeVar("T_co", covariant=True)


class Write(Protocol[T_co]):
    """A use case that changes the database."""

    def locks(self) -> Sequence[str]:
        """The Redis locks that the write needs; it gets all of them or none."""
        ...

    def load(self, transaction: Transaction) -> None:
        """Register the rows and ids that the write needs."""
        ...

    def decide(self, transaction: Transaction) -> T_co:
        """Change the rows in memory and return the result. An exception undoes the changes of this write only."""
        ...


class Member:
    """A write in the queue, from its arrival until it is done.

    Attributes:
        deadline: how long it may wait for its group, as `time.monotonic()`.
        woken: set when the write is done, or when its thread has to lead.
        result, error: one of them is set once the write is done.
        afterwards: functions that its own thread runs after that.
        blocked_by: the lock that it waits for; empty if it waits for a row or only in the queue.
        runs_alone: its group failed, possibly because of this write.
        has_lost_connection: its group lost its connection before COMMIT, so it may run once more.
        waits_for_row: another transaction has locked a row that it needs.
        watches: it is first in the queue, so it has to detect that the running group is slow.
    """

    __slots__ = (
        "afterwards",
        "blocked_by",
        "deadline",
        "done",
        "error",
        "has_lost_connection",
        "keys",
        "leads",
        "result",
        "runs_alone",
        "waits_for_row",
        "watches",
        "woken",
        "write",
    )

    def __init__(self, write: Write[Any]) -> None:
        self.write = write
        self.keys = tuple(write.locks())
        self.deadline: float = time.monotonic() + settings.LOCK_WAIT_SECONDS
        self.woken = Signal()
        self.leads = False
        self.done = False
        self.result: Any = None
        self.error: Exception | None = None
        self.afterwards: Sequence[Callable[[], object]] = ()
        self.blocked_by = ""
        self.runs_alone = False
        self.has_lost_connection = False
        self.waits_for_row = False
        self.watches = False

    def held_elsewhere(self) -> Sequence[str]:
        """The locks that another process holds. For a row locked elsewhere these are all locks of the write."""
        if self.blocked_by:
            return (self.blocked_by,)
        return self.keys if self.waits_for_row else ()

    def fail(self, error: Exception) -> None:
        self.error = error
        self.done = True

    def raise_error(self) -> None:
        """Raise the error of the write, if any. Errors of psycopg are converted to Django's, as a cursor does."""
        if self.error is not None:
            with connection.wrap_database_errors:
                raise self.error


class Group:
    """Members in order of arrival. Their locks are already acquired."""

    def __init__(self, members: Sequence[Member]) -> None:
        self._members = members
        self._transaction = Transaction()

    def run(self, connect: Callable[[], Pipeline], give_back: Callable[[Pipeline], object], *, advisory: bool) -> None:
        """Run the transaction. Members that are not `done` afterwards have to run again.

        With `advisory` their locks are PostgreSQL advisory locks, acquired in the transaction.
        """
        deadline = time.monotonic() + settings.TRANSACTION_SECONDS
        pipeline: Pipeline | None = None
        try:
            pipeline = connect()
            self._read(pipeline, deadline, advisory=advisory)
            decided = self._decide()
            writes = self._transaction.writes()
        except Exception as error:  # noqa: BLE001  # the thread of a member that causes it raises it
            if pipeline is not None:
                pipeline.close()
            self._run_again(error)
            return
        self._write(pipeline, writes, decided, deadline)
        give_back(pipeline)

    def after_release(self) -> None:
        """Run what has to happen once the locks are released."""
        for then in self._transaction.released():
            call_and_log(then)

    def _read(self, pipeline: Pipeline, deadline: float, *, advisory: bool) -> None:
        for member in self._members:
            member.write.load(self._transaction)
        reads = self._transaction.reads_without_waiting()
        statements = [BEGIN, *(statement for _, statement in reads)]
        if advisory:
            statements.insert(1, try_advisory_locks([key for member in self._members for key in member.keys]))
        answers = pipeline.run(statements, deadline=deadline)
        if advisory:
            self._leave_out({key for (key,) in answers.pop(1)})
        for (table, _), rows in zip(reads, answers[1:], strict=True):
            table.accept(rows)
        missing = self._transaction.missing()
        if missing:
            answers = pipeline.run([statement for _, statement in missing], deadline=deadline)
            for (locked, _), rows in zip(missing, answers, strict=True):
                locked.accept_busy(rows)

    def _leave_out(self, held_elsewhere: set[str]) -> None:
        kept = []
        for member in self._members:
            blocked_by = next((key for key in member.keys if key in held_elsewhere), None)
            if blocked_by is None:
                kept.append(member)
            else:
                member.blocked_by = blocked_by
        self._members = kept

    def _decide(self) -> list[Member]:
        """Let each member decide; return the members that were accepted or refused."""
        transaction = self._transaction
        transaction.now = timezone.now()
        decided = []
        for member in self._members:
            member.waits_for_row = False
            try:
                member.result = member.write.decide(transaction)
            except RowBusy:
                transaction.undo()
                member.waits_for_row = True
                continue
            except Exception as error:  # noqa: BLE001  # the member's own thread raises it
                transaction.undo()
                member.error = error
            else:
                member.afterwards = transaction.keep()
            decided.append(member)
        return decided

    def _write(
        self, pipeline: Pipeline, writes: Sequence[Statement], decided: Sequence[Member], deadline: float
    ) -> None:
        try:
            pipeline.run([*writes, COMMIT], deadline=deadline)
        except psycopg.Error as error:
            refused = error.sqlstate is not None and pipeline.answered < len(writes)
            if not writes or refused or not _connection_failed(error):
                # PostgreSQL rejected a statement, or the COMMIT because of a deferred constraint. Nothing was changed.
                self._run_again(error)
            else:
                # Refusals and replays too: they may be based on a change of the same transaction.
                for member in decided:
                    member.fail(error)
            return
        for then in self._transaction.committed():
            call_and_log(then)
        for member in decided:
            member.done = True

    def _run_again(self, error: Exception) -> None:
        """Schedule one retry for each member after a rollback; alone if one of the members may be the cause."""
        connection_failed = _connection_failed(error)
        for member in self._members:
            member.error = None
            if isinstance(error, NoAnswer) or member.runs_alone or (connection_failed and member.has_lost_connection):
                member.fail(error)
            elif connection_failed:
                member.has_lost_connection = True
            elif len(self._members) == 1:
                member.fail(error)
            else:
                member.runs_alone = True


def _connection_failed(error: Exception) -> bool:
    if not isinstance(error, psycopg.OperationalError):
        return False
    return error.sqlstate is None or error.sqlstate.startswith(("08", "57P"))
