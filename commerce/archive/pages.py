"""Archiving rows in pages.

The transaction of a page: select rows, delete them, write them to a file, record the file, COMMIT. Each table's module
selects the rows and writes its checkpoints.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Protocol

from django.db import transaction

from commerce.archive.files import write_page
from commerce.core import sql

PAGE_SIZE = 1_000

# One page at a time across all processes, because pages are numbered and each table is archived from its beginning. A
# process waits at most for one page. The lock is a separate statement, so that the next one's snapshot includes what
# others have archived.
TAKE_TURN = "SELECT pg_advisory_xact_lock(hashtextextended('archive:page', 0))"

RECORD = """
    INSERT INTO archived_page (id, table_name, first_id, last_id, row_count, file_name, sha256, archived_at)
    VALUES (%s, %s, %s, %s, %s, %s, %s, now())
"""


@dataclass(frozen=True)
class Choice:
    """The ids of a page's rows, ascending, and the id after which the next page begins; None: no more rows."""

    ids: Sequence[int]
    next_after: int | None


class Leaving(Protocol):
    """The archiving of one table."""

    name: str

    def choose(self, *, before: datetime, after: int, most: int) -> Choice:
        """Select rows above the id `after`, written before this time, that nothing refers to any more."""
        ...

    def take_out(self, ids: Sequence[int]) -> list[str]:
        """Delete these rows, write the checkpoints, and return each row as a line of JSON."""
        ...


def archive(
    table: Leaving,
    *,
    before: datetime,
    folder: Path,
    stopping: Callable[[], bool] = lambda: False,
    on_page: Callable[[int], object] = lambda _count: None,
) -> int:
    """Move the rows written before this time to files in `folder`, and return how many.

    Works in pages of `PAGE_SIZE`, each a transaction of its own whose file is fsynced before the commit, so wherever
    this ends, a row is in the database, in a file, or in both. Safe to repeat, and to run concurrently with itself and
    with sales. `on_page` receives the size of each page, and `stopping` is called between them.

    Raises django.db.Error if the database fails, FolderNotUsable if a file cannot be written; earlier pages stay
    archived, and the rows of the current page stay in the database.
    """
    moved = 0
    after: int | None = 0
    while after is not None and not stopping():
        with transaction.atomic(durable=True):
            sql.fetch_one(TAKE_TURN)
            choice = table.choose(before=before, after=after, most=PAGE_SIZE)
            if choice.ids:
                _move(table, choice.ids, folder)
        after = choice.next_after
        moved += len(choice.ids)
        on_page(len(choice.ids))
    return moved


def _move(table: Leaving, ids: Sequence[int], folder: Path) -> None:
    lines = table.take_out(ids)
    [(number,)] = sql.fetch_all("SELECT coalesce(max(id), 0) + 1 FROM archived_page")
    file = write_page(folder, table=table.name, number=number, lines=lines)
    sql.execute(RECORD, [number, table.name, ids[0], ids[-1], len(lines), file.name, file.sha256])
