"""One transaction: rows read under lock, changed in memory, written in sets.

Owns the life of the rows between the read and the write. Which rows those are, each app says in its `operations`; how
the statements reach PostgreSQL is the caller's (`group_commit` for requests, `locks` for staff edits).
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


class AskAgain(RowBusy):
    """The write needs rows that it did not ask for. Its turn comes again, and it asks for them."""


class Table:
    """The part of one database table that a transaction reads and writes.

    Several writes share the transaction, one after the other. After each of them either `keep` or `undo` is called.
    """

    lock_order: ClassVar[int] = 90
    """Tables are locked in this order by every transaction, so that two of them never wait for each other in a circle.
    docs/locking.md has the list."""

    def read(self) -> Statement | None:
        """What to read, once every write has said what it needs."""
        return None

    def accept(self, rows: Rows) -> None:
        """Take the rows of `read`."""

    def write(self) -> tuple[str, bytes] | None:
        """An INSERT or UPDATE from a JSON array, its one parameter; None where nothing changed."""
        return None

    def keep(self) -> None:
        """The write that is being decided is accepted."""

    def undo(self) -> None:
        """The write that is being decided is refused: everything is as before it."""

    def clear(self) -> Statement | None:
        """What to delete before `write` adds rows."""
        return None

    def committed(self) -> None:
        """The changes are durable, and the locks are still held: the moment for caches. A failure is logged."""

    def released(self) -> None:
        """The locks are released: the moment to wake others. A failure is logged."""


class LockedRows(Table, Generic[R]):
    """Existing rows, locked until COMMIT, by id."""

    LOCK: ClassVar[str]
    """SELECT with the id first, `WHERE id = ANY(%s::bigint[]) ORDER BY id FOR NO KEY UPDATE` last."""
    EXIST: ClassVar[str]
    """SELECT of those ids that exist, locked or not."""
    SAVE: ClassVar[str]
    """UPDATE from the JSON of the changed rows."""
    row: ClassVar[Callable[..., Any]]
    """Makes the domain object from the columns of LOCK: a dataclass with these fields first, whose others have
    defaults."""

    def __init__(self) -> None:
        self._wanted: dict[int, None] = {}
        self._rows: dict[int, R] = {}
        self._before: dict[int, tuple[Any, ...]] = {}
        self._changed: dict[int, None] = {}
        self._busy: set[int] = set()
        self._values = attrgetter(*cast("Any", self.row).__dataclass_fields__)

    def want(self, ids: Iterable[int]) -> None:
        """Lock and read these rows."""
        self._wanted.update(dict.fromkeys(ids))

    def get(self, row_id: int) -> R | None:
        """The row, to be changed in place, or None where there is none. Raises RowBusy."""
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
        """Asks which of the rows that could not be read exist: another transaction holds those."""
        missing = self._wanted.keys() - self._rows.keys()
        return Statement(self.EXIST, (array(missing),)) if missing else None

    def accept_busy(self, rows: Rows) -> None:
        """Take the rows of `missing`."""
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
    """Where the ids are drawn that the writes need to know; empty: PostgreSQL gives them by itself."""

    def __init__(self) -> None:
        self.rows: list[Any] = []
        self._reserved = 0
        self._ids: list[int] = []
        self._kept = 0

    def reserve(self, count: int) -> None:
        """Draw so many ids. They are drawn after the locks are had, so that they rise as the rows change."""
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
    """The tables of one transaction, by their class: `transaction[Accounts].get(7)`."""

    def __init__(self) -> None:
        self.now: datetime = timezone.now()
        """The time of everything that this transaction decides."""
        self._tables: dict[type[Table], Table] = {}
        self._committed: list[Callable[[], object]] = []
        self._afterwards: list[Callable[[], object]] = []

    def __getitem__(self, kind: type[T]) -> T:
        table: Any = self._tables.get(kind)
        if table is None:
            table = self._tables[kind] = kind()
        return table  # type: ignore[no-any-return]  # of this kind

    def on_committed(self, then: Callable[[], object]) -> None:
        """Run `then` once the changes are durable and the locks are still held: cache writes. A failure is logged."""
        self._committed.append(then)

    def afterwards(self, then: Callable[[], object]) -> None:
        """Run `then` for the write that is being decided, once the locks are released. It may block: it runs in a
        thread of its own, with database connections that go back when it ends.
        """
        self._afterwards.append(then)

    def reads(self) -> list[tuple[Table, Statement]]:
        """What to read, in the order of locking. Waits for rows that another transaction holds."""
        tables = sorted(self._tables.values(), key=_lock_order)
        return [(table, statement) for table in tables if (statement := table.read()) is not None]

    def reads_without_waiting(self) -> list[tuple[Table, Statement]]:
        """As `reads`, but leaves out rows that another transaction holds."""
        return [
            (
                table,
                statement._replace(sql=f"{statement.sql} SKIP LOCKED") if isinstance(table, LockedRows) else statement,
            )
            for table, statement in self.reads()
        ]

    def missing(self) -> list[tuple[LockedRows[Any], Statement]]:
        """What to ask about rows that were wanted and not read."""
        locked = [table for table in self._tables.values() if isinstance(table, LockedRows)]
        return [(table, statement) for table in locked if (statement := table.missing()) is not None]

    def writes(self) -> list[Statement]:
        """All changes: one statement, unless something has to be deleted first."""
        parts = [part for table in self._tables.values() if (part := table.write()) is not None]
        if not parts:
            return []
        cleared = [statement for table in self._tables.values() if (statement := table.clear()) is not None]
        return [*cleared, Statement(_as_one(tuple(sql for sql, _ in parts)), tuple(document for _, document in parts))]

    def keep(self) -> list[Callable[[], object]]:
        """Accept the write that is being decided; return what it does afterwards."""
        for table in self._tables.values():
            table.keep()
        afterwards, self._afterwards = self._afterwards, []
        return afterwards

    def undo(self) -> None:
        """Refuse it."""
        for table in self._tables.values():
            table.undo()
        self._afterwards = []

    def committed(self) -> list[Callable[[], object]]:
        """What to do once the changes are durable."""
        return [*(table.committed for table in self._tables.values()), *self._committed]

    def released(self) -> list[Callable[[], object]]:
        """What to do once the locks are released."""
        return [table.released for table in self._tables.values()]


def call_and_log(then: Callable[[], object]) -> None:
    """Do what follows a write. The write is committed: what fails here is logged, and caught up with elsewhere."""
    try:
        then()
    except Exception:
        logger.exception("A step after the write failed; the write itself stands")


def array(numbers: Iterable[int]) -> bytes:
    """An array of integers as PostgreSQL reads it."""
    return b"{%s}" % ",".join(map(str, numbers)).encode()


def as_json(rows: Sequence[Any]) -> bytes:
    """Rows as `jsonb_to_recordset` reads them; bytes are hexadecimal, as a `bytea` column reads them."""
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
