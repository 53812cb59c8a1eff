"""Rewrites stored text in its normal form. For migrations, which run while the shop is serving.

Each statement reads or writes few rows, so that requests do not wait for it.
"""

import sys
from typing import Any

from django.db import models
from django.db.backends.base.schema import BaseDatabaseSchemaEditor

ROWS_AT_ONCE = 50_000
"""Rows that one statement reads."""


def normalize_stored(schema_editor: BaseDatabaseSchemaEditor, model: type[models.Model], **forms: str) -> None:
    """Rewrite the fields named in `forms` in the given Unicode normal form, such as `name="NFC"`.

    If the normal form is too long for the field or already used by another row, the value is not changed and its row is
    reported on stderr. The migration must not be atomic, because each row is written in its own transaction.
    """
    quote = schema_editor.quote_name
    table = quote(model._meta.db_table)
    with schema_editor.connection.cursor() as cursor:
        for name, form in forms.items():
            field: Any = model._meta.get_field(name)
            column = quote(field.column)
            is_free = f"char_length(normalize({column}, {form})) <= {field.max_length}" if field.max_length else "true"
            if field.unique:
                is_free += (
                    f" AND NOT EXISTS (SELECT FROM {table} t WHERE t.{column} = normalize({table}.{column}, {form}))"
                )
            cursor.execute(f"SELECT coalesce(max(id), 0) FROM {table}")  # noqa: S608  # names of our own models
            [last] = cursor.fetchone()
            for first in range(0, last, ROWS_AT_ONCE):
                cursor.execute(
                    f"SELECT id FROM {table} WHERE id > %s AND id <= %s AND {column} IS NOT {form} NORMALIZED",  # noqa: S608
                    [first, first + ROWS_AT_ONCE],
                )
                for [row_id] in cursor.fetchall():
                    cursor.execute(
                        f"UPDATE {table} SET {column} = normalize({column}, {form}) WHERE id = %s AND {is_free}",  # noqa: S608
                        [row_id],
                    )
                    if not cursor.rowcount:
                        sys.stderr.write(f"{model._meta.db_table} {row_id}: {name} cannot be normalized ({form}).\n")
