"""Taking protections away, one by one: a race test shows something only if its twin without protection fails.

Owns the switches; everything is as before after the block, and only in this worker's own process and database.
"""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest import mock

from django.db import connection

from commerce.core import locks

Protection = tuple["mock._patch[Any]", ...]


@contextmanager
def _nobody_waits(keys: Sequence[str], patience: object) -> Iterator[bool]:
    # True: "Redis holds them", so that PostgreSQL's advisory locks do not step in either.
    yield True


TURNS_OFF = (mock.patch.object(locks._turns, "held", _nobody_waits),)
"""Threads of one process no longer wait for each other, as if each were a process of its own."""

REDIS_LOCKS_OFF = (mock.patch.object(locks._redis_locks, "held", _nobody_waits),)
"""As if every Redis lock had expired at once, unnoticed."""

LOCKS_OFF = (*TURNS_OFF, *REDIS_LOCKS_OFF)


@contextmanager
def switched_off(protection: Protection) -> Iterator[None]:
    """Without this protection."""
    with ExitStack() as stack:
        for patch in protection:
            stack.enter_context(patch)
        yield


@contextmanager
def constraint_dropped(table: str, name: str) -> Iterator[None]:
    """Without one constraint or unique index of the test's database. What it would have refused is removed after."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE conname = %s", [name])
        row = cursor.fetchone()
        if row is not None:
            restore = f'ALTER TABLE "{table}" ADD CONSTRAINT "{name}" {row[0]}'
            cursor.execute(f'ALTER TABLE "{table}" DROP CONSTRAINT "{name}"')
        else:
            cursor.execute("SELECT pg_get_indexdef(%s::regclass)", [name])
            restore = cursor.fetchone()[0]
            cursor.execute(f'DROP INDEX "{name}"')
    try:
        yield
    finally:
        with connection.cursor() as cursor:
            cursor.execute(f'TRUNCATE "{table}" CASCADE')
            cursor.execute(restore)
