"""Emptying the database between tests.

Django's `flush` truncates all tables, which makes new files for each of them and their indexes, and then makes the
permissions anew: a fifth of a second after every test. Here the few rows of a test are deleted, in some milliseconds.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from django.db import Error, connection
from django.test import TransactionTestCase

# Migrations and their signals fill these. A test that changes them is followed by a `flush`.
_GIVEN = """
    SELECT md5(string_agg(t::text, ',' ORDER BY id)) FROM auth_permission AS t
    UNION ALL SELECT md5(string_agg(t::text, ',' ORDER BY id)) FROM auth_group AS t
    UNION ALL SELECT md5(string_agg(t::text, ',' ORDER BY id)) FROM auth_group_permissions AS t
    UNION ALL SELECT md5(string_agg(t::text, ',' ORDER BY id)) FROM django_content_type AS t
"""
# Triggers that keep the ledger and the record from being changed, and foreign keys, do not count here. A table of more
# than 2 MB is better truncated.
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
# Rows that stay keep their ids, so the next ones must come after them.
_AFTER_THOSE_GIVEN = "; ".join(
    f"SELECT setval(pg_get_serial_sequence('{table}', 'id'), (SELECT max(id) FROM {table}))"  # noqa: S608 - ours
    for table in ("auth_permission", "auth_group", "auth_group_permissions", "django_content_type")
)


@contextmanager
def emptied_by_deleting() -> Iterator[None]:
    """Within the block, Django's tests with transactions empty the database so. It has no rows of a test yet."""
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
    """Whether it could be done so: not with large tables, nor for a role that may not switch triggers off."""
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
