"""Operations of migrations that run beside a shop at work.

Owns how an index is built and removed; what is indexed stands in the migrations.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.contrib.postgres import operations


class _WithoutLimits:
    """The statement waits for every older transaction, and reads the whole table, for as long as that takes."""

    @contextmanager
    def unlimited(self, schema_editor: Any) -> Iterator[None]:
        """`lock_timeout` too: it would end the wait, and leave an index behind that is not valid."""
        schema_editor.execute("SET statement_timeout = 0")
        schema_editor.execute("SET lock_timeout = 0")
        try:
            yield
        finally:
            schema_editor.execute("RESET statement_timeout")
            schema_editor.execute("RESET lock_timeout")


class AddIndexConcurrently(_WithoutLimits, operations.AddIndexConcurrently):
    """Django's, which may be repeated: what an attempt that broke off has left is replaced.

    The migration needs `atomic = False`.
    """

    def database_forwards(self, app_label: str, schema_editor: Any, from_state: Any, to_state: Any) -> None:
        with self.unlimited(schema_editor):
            schema_editor.execute(f"DROP INDEX CONCURRENTLY IF EXISTS {schema_editor.quote_name(self.index.name)}")
            super().database_forwards(app_label, schema_editor, from_state, to_state)


class RemoveIndexConcurrently(_WithoutLimits, operations.RemoveIndexConcurrently):
    """Django's, which may be repeated. The migration needs `atomic = False`."""

    def database_forwards(self, app_label: str, schema_editor: Any, from_state: Any, to_state: Any) -> None:
        with self.unlimited(schema_editor):
            super().database_forwards(app_label, schema_editor, from_state, to_state)
