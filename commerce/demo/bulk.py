"""Putting very many rows into the tables.

Owns how that goes quickly; never decides what the rows hold.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from django.core.management.color import no_style
from django.db import connection, models
from psycopg.sql import SQL, Identifier

from commerce.core import sql

CHANGES_AT_ONCE = 10_000


def copy(model: type[models.Model], columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """COPY `rows`, which hold `columns`, into the table of `model`. Their ids are given."""
    statement = SQL("COPY {} ({}) FROM STDIN").format(
        Identifier(model._meta.db_table), SQL(", ").join(map(Identifier, columns))
    )
    with connection.cursor() as cursor, cursor.copy(statement) as copying:
        for row in rows:
            copying.write_row(row)


def change(statement: str, rows: Sequence[Sequence[Any]]) -> None:
    """Run an UPDATE whose parameters are the columns of `rows`, as arrays; of some thousand rows at a time."""
    for first in range(0, len(rows), CHANGES_AT_ONCE):
        part = rows[first : first + CHANGES_AT_ONCE]
        sql.execute(statement, [list(column) for column in zip(*part, strict=True)])


def continue_ids(table_models: Sequence[type[models.Model]]) -> None:
    """Let the next row of each table have the id after the highest: given ids do not move the sequences."""
    for statement in connection.ops.sequence_reset_sql(no_style(), list(table_models)):
        sql.execute(statement)


def tidy(table_models: Sequence[type[models.Model]]) -> Iterator[str]:
    """Do at once what autovacuum would come to do while somebody measures; reports each table before its turn.

    Not inside a transaction.
    """
    sql.execute("SET statement_timeout = 0")
    try:
        for model in table_models:
            yield model._meta.db_table
            sql.execute(f"VACUUM (ANALYZE) {connection.ops.quote_name(model._meta.db_table)}")
    finally:
        sql.execute("RESET statement_timeout")
