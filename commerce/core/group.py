"""A group: writes that share one transaction.

Owns the two round trips of that transaction and what becomes of each write in it. Who is in the group, and when it
runs, is decided in `group_commit`.
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
        """The Redis locks that it needs, all or none."""
        ...

    def load(self, transaction: Transaction) -> None:
        """Say which rows and ids it needs."""
        ...

    def decide(self, transaction: Transaction) -> T_co:
        """Change the rows in memory and return the result. What it raises undoes what it changed, and nothing else."""
        ...


class Member:
    """A write, from its arrival until it is done.

    Attributes:
        deadline: as `time.monotonic()`: how long it may wait for its group.
        woken: set when it is done or shall lead.
        result, error: one of them is there once it is done.
        afterwards: what its own thread does then.
        blocked_by: the lock that it waits for; empty where it waits for a row, or for its turn.
        runs_alone: its group has failed, maybe because of it.
        has_lost_connection: its group has lost its connection before COMMIT, so it may run once more.
        waits_for_row: another transaction holds a row that it needs.
        watches: nothing waited before it, so it is to see that the group that runs is slow.
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
        """The locks that it could not have. A row that is held is one that some of its locks stand for."""
        if self.blocked_by:
            return (self.blocked_by,)
        return self.keys if self.waits_for_row else ()

    def fail(self, error: Exception) -> None:
        self.error = error
        self.done = True

    def raise_error(self) -> None:
        """Raise the error that it ended with, if any; psycopg's as Django's, as a cursor does."""
        if self.error is not None:
            with connection.wrap_database_errors:
                raise self.error


class Group:
    """Members in the order of their arrival, with their locks taken."""

    def __init__(self, members: Sequence[Member]) -> None:
        self._members = members
        self._transaction = Transaction()

    def run(self, connect: Callable[[], Pipeline], give_back: Callable[[Pipeline], object], *, advisory: bool) -> None:
        """Run the transaction. Members that are not `done` afterwards have to run again.

        With `advisory` their locks are taken from PostgreSQL.
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
        """The locks are released."""
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
        """Let each member decide; return those that have, one way or the other."""
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
                # PostgreSQL has refused a statement, or COMMIT for a constraint that is checked then. Nothing was
                # changed.
                self._run_again(error)
            else:
                # Refusals and replays too: they may follow from a change of the same transaction.
                for member in decided:
                    member.fail(error)
            return
        for then in self._transaction.committed():
            call_and_log(then)
        for member in decided:
            member.done = True

    def _run_again(self, error: Exception) -> None:
        """Nothing was changed. Each member may try once more: alone where one of them may be the cause."""
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
