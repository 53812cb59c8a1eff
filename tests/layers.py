"""Switches that disable one protection of writes, so that a race test can show the effect of the others.

They only affect the process and database of this worker, and are undone at the end of their block.
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
from orders.operations import Orders, ReturnableItems
from products.operations import Products
from reservations.operations import Reservations

Protection = tuple["mock._patch[Any]", ...]

LOCKED_TABLES: tuple[type[LockedRows[Any]], ...] = (
    Orders,
    ReturnableItems,
    Reservations,
    Products,
    Coupons,
    HeldCoupons,
    Accounts,
)
_ROW_LOCK = "FOR NO KEY UPDATE"


class _QueueForEachWrite:
    """Runs every write in a separate queue with its own leader and connection, as in separate processes."""

    def run(self, member: Member) -> None:
        queue = Queue()
        try:
            queue.run(member)
        finally:
            queue.close_idle_connections()

    def close_idle_connections(self) -> None:
        """There are no idle connections."""


def _acquire_nothing(locks: RedisLocks, token: str, writes: Sequence[Sequence[str]]) -> Held:
    # Not marked as a fallback, so that PostgreSQL's advisory locks are not used either.
    return Held([None] * len(writes))


QUEUE_OFF: Protection = (mock.patch.object(group_commit, "_queue", _QueueForEachWrite()),)
"""Writes of one process do not share groups, as if each thread were a process."""

REDIS_LOCKS_OFF: Protection = (
    mock.patch.object(RedisLocks, "_acquire", _acquire_nothing),
    mock.patch.object(RedisLocks, "_release"),
)
"""As if every Redis lock had expired."""

ROW_LOCKS_OFF: Protection = (
    *(mock.patch.object(table, "LOCK", table.LOCK.partition(_ROW_LOCK)[0]) for table in LOCKED_TABLES),
    mock.patch.object(Transaction, "reads_without_waiting", Transaction.reads),
)
"""Rows are read without a lock, so another transaction can change them before this one writes."""

ONE_LEADER: Protection = (mock.patch.object(group_commit, "_MOST_LEADERS", 1),)
"""A slow group blocks the writes behind it, so that groups of the process never run concurrently."""

RELATIVE_WRITES_OFF: Protection = (
    mock.patch.object(Products, "SAVE", Products.SAVE.replace("stock + moved", "saved.stock").replace(
        "(id bigint, moved integer", "(id bigint, stock integer").replace("held + newly_held", "saved.held").replace(
        "newly_held integer", "held integer")),
    mock.patch.object(Coupons, "SAVE", Coupons.SAVE.replace("issued_count + issued", "saved.issued_count").replace(
        "issued integer", "issued_count integer")),
    mock.patch.object(Accounts, "SAVE", Accounts.SAVE.replace("balance + moved", "saved.balance").replace(
        "moved bigint", "balance bigint")),
)  # fmt: skip
"""Stocks, counts and balances are overwritten with the values computed in memory, instead of adding to the row."""

LOCKS_OFF: Protection = (*QUEUE_OFF, *REDIS_LOCKS_OFF)
"""Disables everything that keeps writes out of the database. Row locks and constraints remain."""

QUEUE_ALONE: Protection = (*REDIS_LOCKS_OFF, *ONE_LEADER)
"""Without Redis locks. Groups never run concurrently, which is otherwise only true of fast groups."""

ALL_LOCKS_OFF: Protection = (*LOCKS_OFF, *ROW_LOCKS_OFF)
"""Only constraints and relative updates remain."""


@contextmanager
def switched_off(protection: Protection) -> Iterator[None]:
    """Disable this protection during the block."""
    with ExitStack() as stack:
        for patch in protection:
            stack.enter_context(patch)
        yield


@contextmanager
def constraint_dropped(table: str, name: str) -> Iterator[None]:
    """Drop one constraint or unique index of the test database during the block. Rows that violate it are removed
    after.
    """
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
