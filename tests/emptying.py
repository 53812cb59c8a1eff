"""Empties the database between tests by deleting rows, which takes some milliseconds.

Django's `flush` truncates all tables, which creates new files for each of them and their indexes, and recreates the
permissions: a fifth of a second after every test.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from django.db import Error, connection
from django.test import TransactionTestCase

# Filled by migrations and their signals. After a test that changes them, `flush` is used.
_GIVEN = """
    SELECT md5(string_agg(t::text, ',' ORDER BY id)) FROM auth_permission AS t
    UNION ALL SELECT md5(string_agg(t::text, ',' ORDER BY id)) FROM auth_group AS t
    UNION ALL SELECT md5(string_agg(t::text, ',' ORDER BY id)) FROM auth_group_permissions AS t
    UNION ALL SELECT md5(string_agg(t::text, ',' ORDER BY id)) FROM django_content_type AS t
"""
# Triggers that protect append-only tables, and foreign keys, are disabled here. Tables of more than 2 MB are truncated
# instead.
_EMPTY = """
    DO $$ DECLARE name regclass;
    BEGIN
        SET LOCAL session_replication_role = replica;
        FOR name IN
            SELECT oid FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'r' AND relname NOT IN
                ('auth_permission', 'auth_group', 'auth_group_permissions', 'django_content_type', 'django_migrations')
        LOOP
            IF pg_relation_size(name) > 2000000 THEN RAISE EXCEPTION 'large'; END IF;
            EXECUTE 'DELETE FROM ' || name;
        END LOOP;
    END $$
"""
# Remaining rows keep their ids, so the sequences continue after them.
_AFTER_THOSE_GIVEN = "; ".join(
    f"SELECT setval(pg_get_serial_sequence('{table}', 'id'), (SELECT max(id) FROM {table}))"  # noqa: S608 - ours
    for table in ("auth_permission", "auth_group", "auth_group_permissions", "django_content_type")
)


@contextmanager
def emptied_by_deleting() -> Iterator[None]:
    """Replace `flush` of Django's transactional tests during the block. The database must not contain rows of tests
    yet.
    """
    flush: Callable[[TransactionTestCase], None] = TransactionTestCase._fixture_teardown  # type: ignore[attr-defined]
    given = [_state()]

    def empty(test: TransactionTestCase) -> None:
        if _state() != given[0] or not _emptied():
            flush(test)
            given[0] = _state()
        elif test.reset_sequences:
            with connection.cursor() as cursor:
                cursor.execute(_AFTER_THOSE_GIVEN)

    TransactionTestCase._fixture_teardown = empty  # type: ignore[attr-defined]
    try:
        yield
    finally:
        TransactionTestCase._fixture_teardown = flush  # type: ignore[attr-defined]


def _emptied() -> bool:
    """Whether it was possible: not with large tables, nor for a role that may not disable triggers."""
    try:
        with connection.cursor() as cursor:
            cursor.execute(_EMPTY)
    except Error:
        return False
    return True


def _state() -> list[tuple[str]]:
    with connection.cursor() as cursor:
        cursor.execute(_GIVEN)
        rows: list[tuple[str]] = cursor.fetchall()
        return rows
