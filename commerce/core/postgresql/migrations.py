"""Migration operations that build and remove indexes while the shop is running."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.contrib.postgres import operations


class _WithoutLimits:
    """Disables timeouts: the statement waits for all older transactions and reads the whole table."""

    @contextmanager
    def unlimited(self, schema_editor: Any) -> Iterator[None]:
        """Also disables `lock_timeout`, which would end the wait and leave an invalid index behind."""
        schema_editor.execute("SET statement_timeout = 0")
        schema_editor.execute("SET lock_timeout = 0")
        try:
            yield
        finally:
            schema_editor.execute("RESET statement_timeout")
            schema_editor.execute("RESET lock_timeout")


class AddIndexConcurrently(_WithoutLimits, operations.AddIndexConcurrently):
    """Django's operation, made repeatable: it replaces the invalid index of an interrupted attempt.

    The migration needs `atomic = False`.
    """

    def database_forwards(self, app_label: str, schema_editor: Any, from_state: Any, to_state: Any) -> None:
        with self.unlimited(schema_editor):
            schema_editor.execute(f"DROP INDEX CONCURRENTLY IF EXISTS {schema_editor.quote_name(self.index.name)}")
            super().database_forwards(app_label, schema_editor, from_state, to_state)


class RemoveIndexConcurrently(_WithoutLimits, operations.RemoveIndexConcurrently):
    """Django's operation, made repeatable. The migration needs `atomic = False`."""

    def database_forwards(self, app_label: str, schema_editor: Any, from_state: Any, to_state: Any) -> None:
        with self.unlimited(schema_editor):
            super().database_forwards(app_label, schema_editor, from_state, to_state)
