"""Group read: requests that look up one row each at the same time share one statement.

One request of a group runs the statement and the others wait for its result. It starts after the last request of the
group has arrived, so no request sees a row that is older than itself. The statements are defined in the apps.
"""

import threading
from typing import Any

from commerce.core import sql
from commerce.core.waiting import Signal, current_task, gather

Row = tuple[Any, ...]

_MOST_LOOKUPS = 64
"""Lookups in one statement; a few more can join in the same pass of the event loop."""


class _Lookup:
    """The lookup of one request: its key and its result."""

    __slots__ = ("error", "key", "row", "woken")

    def __init__(self, key: int) -> None:
        self.key = key
        self.row: Row | None = None
        self.error: Exception | None = None
        self.woken = Signal()


class GroupRead:
    """Rows of one table, looked up by id."""

    def __init__(self, statement: str) -> None:
        """`statement` takes the ids as one array, `WHERE id = ANY(%s)`, and selects the id as its first column."""
        self._statement = statement
        self._waiting = threading.local()
        self._last_was_shared = False

    def row(self, key: int) -> Row | None:
        """The row with this id, or None. Raises django.db.Error, as `sql.fetch_one` does."""
        if current_task() is None:
            return self._rows([key]).get(key)
        group: list[_Lookup] | None = getattr(self._waiting, "group", None)
        if group is None:
            return self._lead(key)
        lookup = _Lookup(key)
        group.append(lookup)
        lookup.woken.wait()
        if lookup.error is not None:
            raise lookup.error
        return lookup.row

    def _lead(self, key: int) -> Row | None:
        """Read for all lookups that join before the statement is sent."""
        group: list[_Lookup] = []
        try:
            self._gather(group)
            rows = self._rows([key, *(lookup.key for lookup in group)])
            for lookup in group:
                lookup.row = rows.get(lookup.key)
            return rows.get(key)
        except Exception as error:
            for lookup in group:
                lookup.error = error
            raise
        finally:
            for lookup in group:
                lookup.woken.set()

    def _gather(self, group: list[_Lookup]) -> None:
        self._waiting.group = group
        try:
            gather(group, most=_MOST_LOOKUPS, patiently=self._last_was_shared)
        finally:
            self._waiting.group = None
        self._last_was_shared = bool(group)

    def _rows(self, keys: list[int]) -> dict[int, Row]:
        return {row[0]: row for row in sql.fetch_all(self._statement, [keys])}
