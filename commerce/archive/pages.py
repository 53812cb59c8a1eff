"""Taking old rows out of the database, a page at a time.

Owns the transaction of a page and its order: rows chosen, deleted, written to a file, the file recorded, COMMIT. Which
rows may go, and what they leave behind, is said by each table's own module.
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

# One page at a time in the whole shop: pages are numbered, and each table leaves from its beginning. The one that waits
# waits for one page. In a statement of its own, so that the next one sees what the others took.
TAKE_TURN = "SELECT pg_advisory_xact_lock(hashtextextended('archive:page', 0))"

RECORD = """
    INSERT INTO archived_page (id, table_name, first_id, last_id, row_count, file_name, sha256, archived_at)
    VALUES (%s, %s, %s, %s, %s, %s, %s, now())
"""


@dataclass(frozen=True)
class Choice:
    """Which rows of a page leave, by id in rising order, and after which id the next page begins; None: no more."""

    ids: Sequence[int]
    next_after: int | None


class Leaving(Protocol):
    """A table whose rows leave."""

    name: str

    def choose(self, *, before: datetime, after: int, most: int) -> Choice:
        """Rows above the id `after`, written before that moment, that nothing needs any more."""
        ...

    def take_out(self, ids: Sequence[int]) -> list[str]:
        """Delete these rows, leave behind what the books are proved by, and return each row as a line of JSON."""
        ...


def archive(
    table: Leaving,
    *,
    before: datetime,
    folder: Path,
    stopping: Callable[[], bool] = lambda: False,
    on_page: Callable[[int], object] = lambda _count: None,
) -> int:
    """Move the rows written before that moment to files of `folder`, and return how many those were.

    In pages of `PAGE_SIZE`, each a transaction of its own whose file is on the disk before it commits; so a row is in
    the database, in a file or in both, and never in neither, wherever this ends. May be repeated, and run at the same
    time as itself and as sales. `on_page` gets how many rows each had, and `stopping` is asked between them.

    Raises django.db.Error where the database fails, FolderNotUsable where a file cannot be written; the pages before
    have left then, and the page in hand has not.
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
