"""Empties the database between tests by deleting rows, and keeps the connection, which takes some milliseconds.

Django's `flush` truncates all tables, which creates new files for each of them and their indexes, and recreates the
permissions: a fifth of a second after every test. A new connection costs PostgreSQL a process that has to read the
catalogue again: 20 ms.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from django.db import Error, connection, connections
from django.test import TransactionTestCase
from psycopg.pq import TransactionStatus

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
_RESET = "RESET ALL; UNLISTEN *; CLOSE ALL; DISCARD TEMP; SELECT pg_advisory_unlock_all()"
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
    reload = TransactionTestCase._should_reload_connections  # type: ignore[attr-defined]
    given = [_state()]
    session = connection.connection

    def empty(test: TransactionTestCase) -> None:
        if _state() != given[0] or not _emptied():
            flush(test)
            given[0] = _state()
        elif test.reset_sequences:
            with connection.cursor() as cursor:
                cursor.execute(_AFTER_THOSE_GIVEN)

    def reconnect_if_changed(_test: TransactionTestCase) -> bool:
        """Connect again if the test has replaced the session, whose options may be those of the test."""
        nonlocal session
        for other in connections.all(initialized_only=True):
            if other.alias != connection.alias:
                other.close()
        if session is not None and connection.connection is session and _reset():
            return False
        connection.close()
        connection.connect()
        session = connection.connection
        return False

    TransactionTestCase._fixture_teardown = empty  # type: ignore[attr-defined]
    TransactionTestCase._should_reload_connections = reconnect_if_changed  # type: ignore[attr-defined]
    try:
        yield
    finally:
        TransactionTestCase._fixture_teardown = flush  # type: ignore[attr-defined]
        TransactionTestCase._should_reload_connections = reload  # type: ignore[attr-defined]


def _emptied() -> bool:
    """Whether it was possible: not with large tables, nor for a role that may not disable triggers."""
    try:
        with connection.cursor() as cursor:
            cursor.execute(_EMPTY)
    except Error:
        return False
    return True


def _reset() -> bool:
    """Whether the session is like a new one: without a transaction, settings and locks of a test.

    psycopg remembers the prepared statements of a session, so they stay.
    """
    if not connection.get_autocommit() or connection.connection.info.transaction_status != TransactionStatus.IDLE:
        return False
    try:
        with connection.cursor() as cursor:
            cursor.execute(_RESET)
        connection.ensure_timezone()
    except Error:
        return False
    return True


def _state() -> list[tuple[str]]:
    with connection.cursor() as cursor:
        cursor.execute(_GIVEN)
        rows: list[tuple[str]] = cursor.fetchall()
        return rows
