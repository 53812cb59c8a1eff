"""Migration operations that do not block a running shop: building and removing indexes, validating constraints."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.contrib.postgres import operations
from django.db.migrations.operations import AddConstraint
from django.db.models import UniqueConstraint


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


class ValidateConstraint(_WithoutLimits, operations.ValidateConstraint):
    """Django's operation, without timeouts, for large tables. It does not block writes."""

    def database_forwards(self, app_label: str, schema_editor: Any, from_state: Any, to_state: Any) -> None:
        with self.unlimited(schema_editor):
            super().database_forwards(app_label, schema_editor, from_state, to_state)


class WidenUniqueConcurrently(_WithoutLimits, AddConstraint):
    """Replaces a unique constraint with a wider one that all existing rows satisfy, such as one with more columns.

    Builds the new index before it drops the old one. Can be repeated. The migration needs `atomic = False`.
    """

    atomic = False

    def __init__(self, model_name: str, constraint: UniqueConstraint, *, replaces: str) -> None:
        super().__init__(model_name, constraint)
        self.replaces = replaces

    def deconstruct(self) -> tuple[str, list[Any], dict[str, Any]]:
        return (
            type(self).__name__,
            [],
            {"model_name": self.model_name, "constraint": self.constraint, "replaces": self.replaces},
        )

    def state_forwards(self, app_label: str, state: Any) -> None:
        super().state_forwards(app_label, state)
        state.remove_constraint(app_label, self.model_name_lower, self.replaces)

    def database_forwards(self, app_label: str, schema_editor: Any, from_state: Any, to_state: Any) -> None:
        self._swap(schema_editor, to_state.apps.get_model(app_label, self.model_name), self.constraint, self.replaces)

    def database_backwards(self, app_label: str, schema_editor: Any, from_state: Any, to_state: Any) -> None:
        """Raises IntegrityError if there are rows by now that violate the narrower constraint."""
        model = to_state.apps.get_model(app_label, self.model_name)
        narrower = next(each for each in model._meta.constraints if each.name == self.replaces)
        self._swap(schema_editor, model, narrower, self.constraint.name)

    def _swap(self, schema_editor: Any, model: Any, added: Any, removed: str) -> None:
        quoted = schema_editor.quote_name
        create = str(added.create_sql(model, schema_editor))
        with self.unlimited(schema_editor):
            schema_editor.execute(f"DROP INDEX CONCURRENTLY IF EXISTS {quoted(added.name)}")
            schema_editor.execute(create.replace("CREATE UNIQUE INDEX", "CREATE UNIQUE INDEX CONCURRENTLY", 1))
            schema_editor.execute(f"DROP INDEX CONCURRENTLY IF EXISTS {quoted(removed)}")
