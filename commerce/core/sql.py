"""Runs hand-written SQL on Django's connection. The statements are defined in the app whose tables they use."""

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

from django.db import DatabaseError, connection

from commerce.core.pipeline import Rows, Statement

Params: TypeAlias = Sequence[Any] | Mapping[str, Any]


def fetch_all(sql: str, params: Params = ()) -> list[tuple[Any, ...]]:
    """Run `sql` and return every row."""
    with connection.cursor() as cursor:
        cursor.execute(sql, params)
        rows: list[tuple[Any, ...]] = cursor.fetchall()
        return rows


def fetch_one(sql: str, params: Params = ()) -> tuple[Any, ...] | None:
    """Run `sql` and return its first row, or None."""
    with connection.cursor() as cursor:
        cursor.execute(sql, params)
        row: tuple[Any, ...] | None = cursor.fetchone()
        return row


def execute(sql: str, params: Params = ()) -> int:
    """Run `sql` and return the number of affected rows."""
    with connection.cursor() as cursor:
        cursor.execute(sql, params)
        return int(cursor.rowcount)


def run(statement: Statement) -> Rows:
    """Run a statement of a transaction's tables on Django's connection, and return its rows."""
    with connection.cursor() as cursor:
        cursor.execute(statement.sql, [parameter.decode() for parameter in statement.parameters])
        rows: Rows = cursor.fetchall() if cursor.description else []
        return rows


def sqlstate(error: DatabaseError) -> str | None:
    """The five-character PostgreSQL error code of a Django database error, or None."""
    return getattr(error.__cause__, "sqlstate", None)


def violated_constraint(error: DatabaseError) -> str | None:
    """The name of the violated constraint, or None."""
    diagnostics = getattr(error.__cause__, "diag", None)
    return getattr(diagnostics, "constraint_name", None)
