"""Switches that take one protection of a write away, so that a race test can show what the others are worth.

Owns the switches. They work in this worker's process and database only, and are undone at the end of their block.
"""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest import mock

from django.db import connection

from balances.operations import Accounts
from commerce.core import group_commit
from commerce.core.group import Member
from commerce.core.group_commit import Queue
from commerce.core.locks import Held, RedisLocks
from commerce.core.transaction import LockedRows, Transaction
from coupons.operations import Coupons, HeldCoupons
from orders.operations import Orders
from products.operations import Products
from reservations.operations import Reservations

Protection = tuple["mock._patch[Any]", ...]

LOCKED_TABLES: tuple[type[LockedRows[Any]], ...] = (Orders, Reservations, Products, Coupons, HeldCoupons, Accounts)
_ROW_LOCK = "FOR NO KEY UPDATE"


class _QueueForEachWrite:
    """Runs every write in a queue of its own, with a leader and a connection of its own: as in separate processes."""

    def run(self, member: Member) -> None:
        queue = Queue()
        try:
            queue.run(member)
        finally:
            queue.close_idle_connections()

    def close_idle_connections(self) -> None:
        """None is kept."""


def _acquire_nothing(locks: RedisLocks, token: str, writes: Sequence[Sequence[str]]) -> Held:
    # Not a fallback, so that PostgreSQL's advisory locks do not step in either.
    return Held([None] * len(writes))


QUEUE_OFF: Protection = (mock.patch.object(group_commit, "_queue", _QueueForEachWrite()),)
"""Writes of one process no longer share groups, as if each thread were a process."""

REDIS_LOCKS_OFF: Protection = (
    mock.patch.object(RedisLocks, "_acquire", _acquire_nothing),
    mock.patch.object(RedisLocks, "_release"),
)
"""As if every Redis lock had expired at once."""

ROW_LOCKS_OFF: Protection = (
    *(mock.patch.object(table, "LOCK", table.LOCK.partition(_ROW_LOCK)[0]) for table in LOCKED_TABLES),
    mock.patch.object(Transaction, "reads_without_waiting", Transaction.reads),
)
"""Rows are read without a lock: another transaction can change them before this one writes."""

ONE_LEADER: Protection = (mock.patch.object(group_commit, "_MOST_LEADERS", 1),)
"""A slow group holds up the writes behind it, so that no two groups of the process run beside each other."""

RELATIVE_WRITES_OFF: Protection = (
    mock.patch.object(Products, "SAVE", Products.SAVE.replace("stock + moved", "saved.stock").replace(
        "(id bigint, moved integer", "(id bigint, stock integer").replace("held + newly_held", "saved.held").replace(
        "newly_held integer", "held integer")),
    mock.patch.object(Coupons, "SAVE", Coupons.SAVE.replace("issued_count + issued", "saved.issued_count").replace(
        "issued integer", "issued_count integer")),
    mock.patch.object(Accounts, "SAVE", Accounts.SAVE.replace("balance + moved", "saved.balance").replace(
        "moved bigint", "balance bigint")),
)  # fmt: skip
"""Stocks, counts and balances are written as they were computed in memory, not added to what the row holds."""

LOCKS_OFF: Protection = (*QUEUE_OFF, *REDIS_LOCKS_OFF)
"""Without everything that keeps writes out of the database. Row locks and constraints are left."""

QUEUE_ALONE: Protection = (*REDIS_LOCKS_OFF, *ONE_LEADER)
"""Without Redis locks. That no two groups run beside each other is otherwise true of quick groups only."""

ALL_LOCKS_OFF: Protection = (*LOCKS_OFF, *ROW_LOCKS_OFF)
"""Only constraints and relative writes are left."""


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
