"""One transaction: rows read under lock, changed in memory, written in sets.

Each app's `operations` define which rows these are. The caller sends the statements to PostgreSQL: `group_commit` for
requests, `locks` for staff edits.
"""

import logging
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from functools import cache
from operator import attrgetter
from typing import Any, ClassVar, Generic, TypeVar, cast

import orjson
from django.utils import timezone

from commerce.core.errors import LockTimeout
from commerce.core.pipeline import Rows, Statement

logger = logging.getLogger(__name__)

R = TypeVar("R")
T = TypeVar("T", bound="Table")


class RowBusy(LockTimeout):
    """Another transaction holds a row that this write needs."""


class RowsNotRegistered(RowBusy):
    """The write needs rows that it has not registered. It runs again and registers them."""


class Table:
    """The part of one database table that a transaction reads and writes.

    Several writes share the transaction, one after the other. After each of them `keep` or `undo` is called.
    """

    lock_order: ClassVar[int] = 90
    """Every transaction locks the tables in this order, which prevents deadlocks. The list is in docs/locking.md."""

    def read(self) -> Statement | None:
        """The statement that reads the rows, after every write has registered what it needs."""
        return None

    def accept(self, rows: Rows) -> None:
        """Receive the rows of `read`."""

    def write(self) -> tuple[str, bytes] | None:
        """An INSERT or UPDATE and its only parameter, a JSON array; None if nothing changed."""
        return None

    def keep(self) -> None:
        """Accept the changes of the current write."""

    def undo(self) -> None:
        """Undo the changes of the current write."""

    def clear(self) -> Statement | None:
        """A statement that deletes rows before `write` adds some."""
        return None

    def committed(self) -> None:
        """Called when the changes are durable and the locks still held, to update caches. A failure is logged."""

    def released(self) -> None:
        """Called when the locks are released, to wake other threads or processes. A failure is logged."""


class LockedRows(Table, Generic[R]):
    """Existing rows, selected by id and locked until COMMIT."""

    LOCK: ClassVar[str]
    """SELECT with the id first, `WHERE id = ANY(%s::bigint[]) ORDER BY id FOR NO KEY UPDATE` last."""
    EXIST: ClassVar[str]
    """SELECT of those ids that exist, locked or not."""
    SAVE: ClassVar[str]
    """UPDATE from the JSON of the changed rows."""
    row: ClassVar[Callable[..., Any]]
    """Creates the domain object from the columns of LOCK. A dataclass: these fields first, the others have defaults."""

    def __init__(self) -> None:
        self._wanted: dict[int, None] = {}
        self._rows: dict[int, R] = {}
        self._before: dict[int, tuple[Any, ...]] = {}
        self._changed: dict[int, None] = {}
        self._busy: set[int] = set()
        self._values = attrgetter(*cast("Any", self.row).__dataclass_fields__)

    def want(self, ids: Iterable[int]) -> None:
        """Register rows to lock and read."""
        self._wanted.update(dict.fromkeys(ids))

    def get(self, row_id: int) -> R | None:
        """The row, which may be changed in place, or None if it does not exist. Raises RowBusy."""
        row = self._rows.get(row_id)
        if row is None:
            if row_id in self._busy:
                raise RowBusy
            return None
        if row_id not in self._before:
            self._before[row_id] = self._values(row)
        return row

    def read(self) -> Statement | None:
        return Statement(self.LOCK, (array(self._wanted),)) if self._wanted else None

    def accept(self, rows: Rows) -> None:
        self._rows = {row[0]: self.row(*row) for row in rows}

    def missing(self) -> Statement | None:
        """A query for the rows that exist but could not be read, because another transaction has locked them."""
        missing = self._wanted.keys() - self._rows.keys()
        return Statement(self.EXIST, (array(missing),)) if missing else None

    def accept_busy(self, rows: Rows) -> None:
        """Receive the rows of `missing`."""
        self._busy = {row[0] for row in rows}

    def write(self) -> tuple[str, bytes] | None:
        return (self.SAVE, as_json([self._rows[each] for each in self._changed])) if self._changed else None

    def keep(self) -> None:
        if self._before:
            self._changed.update(dict.fromkeys(self._before))
            self._before.clear()

    def undo(self) -> None:
        for row_id, values in self._before.items():
            self._rows[row_id] = self.row(*values)
        self._before.clear()

    @property
    def changed(self) -> list[R]:
        """The rows that the transaction writes."""
        return [self._rows[each] for each in self._changed]


class NewRows(Table):
    """Rows that the transaction adds."""

    INSERT: ClassVar[str]
    """INSERT from the JSON of the added rows."""
    SEQUENCE: ClassVar[str] = ""
    """The sequence of ids that the writes need to know; empty: PostgreSQL assigns the ids on INSERT."""

    def __init__(self) -> None:
        self.rows: list[Any] = []
        self._reserved = 0
        self._ids: list[int] = []
        self._kept = 0

    def reserve(self, count: int) -> None:
        """Reserve `count` ids. They are drawn after the locks are acquired, so they ascend in order of the changes."""
        self._reserved += count

    def next_id(self) -> int:
        """The next of the reserved ids."""
        return self._ids.pop()

    def add(self, row: Any) -> None:
        """Write a row: a dataclass or a dict with the columns that INSERT names."""
        self.rows.append(row)

    def read(self) -> Statement | None:
        if not self._reserved:
            return None
        return Statement(_next_ids(self.SEQUENCE), (b"%d" % self._reserved,))

    def accept(self, rows: Rows) -> None:
        self._ids = [row[0] for row in reversed(rows)]

    def write(self) -> tuple[str, bytes] | None:
        return (self.INSERT, as_json(self.rows)) if self.rows else None

    def keep(self) -> None:
        self._kept = len(self.rows)

    def undo(self) -> None:
        del self.rows[self._kept :]


class Transaction:
    """The tables of one transaction by class: `transaction[Accounts].get(7)`."""

    def __init__(self) -> None:
        self.now: datetime = timezone.now()
        """The time of all changes of this transaction."""
        self._tables: dict[type[Table], Table] = {}
        self._committed: list[Callable[[], object]] = []
        self._afterwards: list[Callable[[], object]] = []

    def __getitem__(self, kind: type[T]) -> T:
        table: Any = self._tables.get(kind)
        if table is None:
            table = self._tables[kind] = kind()
        return table  # type: ignore[no-any-return]  # of this kind

    def on_committed(self, then: Callable[[], object]) -> None:
        """Run `then` when the changes are durable and the locks still held, to update caches. A failure is logged."""
        self._committed.append(then)

    def afterwards(self, then: Callable[[], object]) -> None:
        """Run `then` for the current write once the locks are released. It may block: it runs in its own thread, whose
        database connections are returned when it ends.
        """
        self._afterwards.append(then)

    def reads(self) -> list[tuple[Table, Statement]]:
        """The statements that lock and read, in lock order. They wait for locked rows."""
        tables = sorted(self._tables.values(), key=_lock_order)
        return [(table, statement) for table in tables if (statement := table.read()) is not None]

    def reads_without_waiting(self) -> list[tuple[Table, Statement]]:
        """As `reads`, but skips rows that another transaction has locked."""
        return [
            (
                table,
                statement._replace(sql=f"{statement.sql} SKIP LOCKED") if isinstance(table, LockedRows) else statement,
            )
            for table, statement in self.reads()
        ]

    def missing(self) -> list[tuple[LockedRows[Any], Statement]]:
        """Queries for rows that were requested and not read."""
        locked = [table for table in self._tables.values() if isinstance(table, LockedRows)]
        return [(table, statement) for table in locked if (statement := table.missing()) is not None]

    def writes(self) -> list[Statement]:
        """All changes: one statement, unless rows have to be deleted first."""
        parts = [part for table in self._tables.values() if (part := table.write()) is not None]
        if not parts:
            return []
        cleared = [statement for table in self._tables.values() if (statement := table.clear()) is not None]
        return [*cleared, Statement(_as_one(tuple(sql for sql, _ in parts)), tuple(document for _, document in parts))]

    def keep(self) -> list[Callable[[], object]]:
        """Accept the current write; return its functions for `afterwards`."""
        for table in self._tables.values():
            table.keep()
        afterwards, self._afterwards = self._afterwards, []
        return afterwards

    def undo(self) -> None:
        """Undo the current write."""
        for table in self._tables.values():
            table.undo()
        self._afterwards = []

    def committed(self) -> list[Callable[[], object]]:
        """The functions to run when the changes are durable."""
        return [*(table.committed for table in self._tables.values()), *self._committed]

    def released(self) -> list[Callable[[], object]]:
        """The functions to run when the locks are released."""
        return [table.released for table in self._tables.values()]


def call_and_log(then: Callable[[], object]) -> None:
    """Run a function after COMMIT. An error is only logged: the write is committed, other steps make up for it."""
    try:
        then()
    except Exception:
        logger.exception("A step after COMMIT failed; the write is committed")


def array(numbers: Iterable[int]) -> bytes:
    """An array of integers in PostgreSQL's text format."""
    return b"{%s}" % ",".join(map(str, numbers)).encode()


def as_json(rows: Sequence[Any]) -> bytes:
    """Rows as JSON for `jsonb_to_recordset`; bytes are in hexadecimal, the text format of `bytea`."""
    return orjson.dumps(rows, default=_as_hexadecimal)


def _as_hexadecimal(value: Any) -> str:
    if isinstance(value, bytes | memoryview):
        return f"\\x{value.hex()}"
    raise TypeError(f"{type(value).__name__} has no JSON form here.")


@cache
def _next_ids(sequence: str) -> str:
    return f"SELECT nextval('{sequence}') FROM generate_series(1, %s::integer)"  # noqa: S608  # our own name


@cache
def _as_one(statements: tuple[str, ...]) -> str:
    parts = ", ".join(f"part_{number} AS ({statement})" for number, statement in enumerate(statements))
    return f"WITH {parts} SELECT"


def _lock_order(table: Table) -> int:
    return table.lock_order
