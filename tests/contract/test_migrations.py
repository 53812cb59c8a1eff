"""Migrations run while processes of the previous release are serving."""

from pathlib import Path

import pytest
from django.apps import apps
from django.conf import settings
from django.contrib.postgres.operations import AddIndexConcurrently as AddDjangosIndex
from django.contrib.postgres.operations import RemoveIndexConcurrently as RemoveDjangosIndex
from django.db import connection, migrations, models
from django.db.migrations.state import ProjectState
from django_migration_linter import MigrationLinter
from psycopg import errors

from commerce.core import sql
from commerce.core.postgresql.migrations import AddIndexConcurrently, WidenUniqueConcurrently
from tests.together import another_session

pytestmark = pytest.mark.django_db(transaction=True)

BASE_DIR = Path(settings.BASE_DIR)
BEFORE_THE_RULE = {
    "audit": 3, "back_office": 1, "balances": 4, "coupons": 2, "idempotency": 1, "invariants": 1, "orders": 2,
    "outbox": 5, "products": 5, "stats": 3,
}  # fmt: skip
"""The number of each app's last migration that may lock a table or break older code."""
OURS = [app.label for app in apps.get_app_configs() if Path(app.path).parent in (BASE_DIR, BASE_DIR / "commerce")]


def test_every_newer_migration_suits_the_previous_release() -> None:
    """Expand and contract:

    columns are nullable or have a default, indexes are built concurrently, nothing is renamed.
    """
    linter = MigrationLinter(
        str(settings.BASE_DIR), no_cache=True, no_output=True, include_apps=OURS, all_warnings_as_errors=True,
        exclude_migration_tests=["CREATE_INDEX_EXCLUSIVE", "ADD_UNIQUE"],
    )  # fmt: skip
    newer = [
        migration
        for (app, name), migration in sorted(linter.migration_loader.disk_migrations.items())
        if app in OURS and int(name[:4]) > BEFORE_THE_RULE.get(app, 0)
    ]
    for migration in newer:
        linter.lint_migration(migration)
        assert linter.nb_erroneous == 0, f"{migration.app_label}.{migration.name} does not suit a shop at work"


def test_a_newer_unique_constraint_replaces_a_narrower_one() -> None:
    """Rows of the previous release must be valid, so existing tables get no new unique constraints."""
    linter = MigrationLinter(str(settings.BASE_DIR), no_cache=True, no_output=True, include_apps=OURS)
    for (app, name), migration in linter.migration_loader.disk_migrations.items():
        if app in OURS and int(name[:4]) > BEFORE_THE_RULE.get(app, 0):
            made = _models_made(migration)
            for operation in migration.operations:
                constraint = getattr(operation, "constraint", None)
                if (
                    isinstance(constraint, models.UniqueConstraint)
                    and getattr(operation, "model_name_lower", "") not in made
                ):
                    assert isinstance(operation, WidenUniqueConcurrently), f"{app}.{name}: {operation.describe()}"
                    assert operation.replaces != constraint.name
                field = getattr(operation, "field", None)
                assert not getattr(field, "unique", False), f"{app}.{name}: {operation.describe()}"


def _models_made(migration: migrations.Migration) -> set[str]:
    """The models whose tables the migration creates; the previous release does not write to them."""
    return {each.name_lower for each in migration.operations if isinstance(each, migrations.CreateModel)}


def test_an_index_of_newer_migrations_is_built_concurrently() -> None:
    linter = MigrationLinter(str(settings.BASE_DIR), no_cache=True, no_output=True, include_apps=OURS)
    for (app, name), migration in linter.migration_loader.disk_migrations.items():
        if app in OURS and int(name[:4]) > BEFORE_THE_RULE.get(app, 0):
            made = _models_made(migration)
            for operation in migration.operations:
                # Django's own concurrent operations end at `lock_timeout`, and cannot be run again after that.
                assert type(operation) not in (AddDjangosIndex, RemoveDjangosIndex), f"{app}.{name}"
                if type(operation) not in (migrations.AddIndex, migrations.RemoveIndex):
                    continue
                assert getattr(operation, "model_name_lower", "") in made, f"{app}.{name}: {operation.describe()}"


def test_every_constraint_is_validated() -> None:
    """One that was added as NOT VALID leaves the existing rows unchecked until a later migration validates it."""
    assert sql.fetch_all("SELECT conrelid::regclass::text, conname FROM pg_constraint WHERE NOT convalidated") == []


def test_an_invalid_index_of_a_failed_attempt_is_replaced() -> None:
    """An interrupted CREATE INDEX CONCURRENTLY leaves an invalid index with the same name."""
    operation = AddIndexConcurrently("order", models.Index(fields=["paid_amount"], name="left_behind"))
    state = ProjectState.from_apps(apps)
    after = state.clone()
    operation.state_forwards("orders", after)

    def build() -> None:
        with connection.schema_editor(atomic=False) as editor:
            operation.database_forwards("orders", editor, state, after)

    with another_session() as session:
        session.autocommit = True
        session.execute("SET lock_timeout = '50ms'")
        with another_session() as writer:
            writer.execute('LOCK TABLE "order" IN ROW EXCLUSIVE MODE')
            with pytest.raises(errors.LockNotAvailable):
                session.execute('CREATE INDEX CONCURRENTLY left_behind ON "order" (paid_amount)')
    try:
        assert not valid("left_behind")
        build()
        assert valid("left_behind")
        build()
        assert valid("left_behind")
        assert sql.fetch_one("SHOW lock_timeout") == ("2s",)
    finally:
        sql.execute("DROP INDEX IF EXISTS left_behind")


def valid(index: str) -> bool:
    row = sql.fetch_one("SELECT indisvalid FROM pg_index WHERE indexrelid = %s::regclass", [index])
    assert row is not None
    return bool(row[0])
