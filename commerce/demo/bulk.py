"""Fast insertion of very many rows."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from django.core.management.color import no_style
from django.db import connection, models
from psycopg.sql import SQL, Identifier

from commerce.core import sql

CHANGES_AT_ONCE = 10_000


def copy(model: type[models.Model], columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """COPY `rows` with `columns`, including ids, into the table of `model`."""
    statement = SQL("COPY {} ({}) FROM STDIN").format(
        Identifier(model._meta.db_table), SQL(", ").join(map(Identifier, columns))
    )
    with connection.cursor() as cursor, cursor.copy(statement) as copying:
        for row in rows:
            copying.write_row(row)


def change(statement: str, rows: Sequence[Sequence[Any]]) -> None:
    """Run an UPDATE whose parameters are the columns of `rows`, as arrays. For some thousand rows at a time."""
    for first in range(0, len(rows), CHANGES_AT_ONCE):
        part = rows[first : first + CHANGES_AT_ONCE]
        sql.execute(statement, [list(column) for column in zip(*part, strict=True)])


def continue_ids(table_models: Sequence[type[models.Model]]) -> None:
    """Set the sequence of each table to its highest id: explicit ids do not advance sequences."""
    for statement in connection.ops.sequence_reset_sql(no_style(), list(table_models)):
        sql.execute(statement)


def tidy(table_models: Sequence[type[models.Model]]) -> Iterator[str]:
    """VACUUM and ANALYZE now, so that autovacuum does not run during a measurement. Yields each table before its turn.

    Must not be called inside a transaction.
    """
    sql.execute("SET statement_timeout = 0")
    try:
        for model in table_models:
            yield model._meta.db_table
            sql.execute(f"VACUUM (ANALYZE) {connection.ops.quote_name(model._meta.db_table)}")
    finally:
        sql.execute("RESET statement_timeout")
