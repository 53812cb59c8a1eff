"""Patches that turn the processes under test into a naive shop: check, decide, then write, and trust the locks.

Each patch removes several protections. They are called in the shop's processes only.
"""

import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import cache
from typing import Any
from unittest import mock

from django.db import connection

from balances.operations import Accounts
from commerce.core import group_commit
from commerce.core.group import Group
from commerce.core.locks import Held, redis_locks
from commerce.core.transaction import LockedRows, Transaction
from commerce.idempotency import commit
from commerce.staff_pages import forms as staff_forms
from coupons.operations import Coupons, HeldCoupons
from orders.operations import Orders, ReturnableItems
from products import operations as products_operations
from products.operations import Products

BETWEEN_SECONDS = 0.2
"""The delay between check and write."""

_for_good = ExitStack()


def no_locks() -> None:
    """No write waits for a Redis lock or for earlier writes of its process; each runs alone."""

    @contextmanager
    def held(writes: Sequence[Sequence[str]]) -> Iterator[Held]:
        # Reported as acquired and not as a fallback, so that no advisory locks are used.
        yield Held([None] * len(writes))

    @contextmanager
    def held_in_time(keys: Sequence[str], deadline: float | None = None) -> Iterator[bool]:
        yield False

    _for_good.enter_context(mock.patch.object(redis_locks, "held", held))
    _for_good.enter_context(mock.patch.object(redis_locks, "held_in_time", held_in_time))
    every_write_by_itself()


def every_write_by_itself() -> None:
    """Writes do not wait for each other, and do not share transactions."""
    group_commit.MOST_WRITES = 1
    group_commit._MOST_LEADERS = 1_000
    group_commit._SLOW_SECONDS = 0.0


def requests_not_locked() -> None:
    """Two requests with one key do not wait for each other."""
    commit._IdempotentWrite.locks = lambda self: self._write.locks()  # type: ignore[method-assign]  # that is the point


def stock_from_memory() -> None:
    """The stock is read, and a little later overwritten with the read value minus the sold units."""
    _do_not_lock(Products)
    Products.SAVE = """
        UPDATE product SET stock = saved.stock, held = saved.held
        FROM jsonb_to_recordset(%s::jsonb) AS saved (id bigint, stock integer, held integer)
        WHERE product.id = saved.id
    """
    _wait_before_writing()


def stock_in_the_order_of_the_cart() -> None:
    """Products are locked one after the other in the order of the cart, and locked ones are waited for."""
    # The selected values are computed row by row, each before its row is locked.
    Products.LOCK = """
        SELECT product.id, name, price, stock + length(pg_sleep(0.1)::text), is_active, held
        FROM product JOIN unnest(%s::bigint[]) WITH ORDINALITY AS cart (id, line) ON cart.id = product.id
        ORDER BY line FOR NO KEY UPDATE OF product
    """
    Transaction.reads_without_waiting = Transaction.reads  # type: ignore[method-assign]  # that is the point
    every_write_by_itself()


def coupons_from_memory() -> None:
    """A coupon's count is read, and a little later overwritten with the read value plus the issued units."""
    _do_not_lock(Coupons)
    Coupons.SAVE = """
        UPDATE coupon SET issued_count = saved.issued_count
        FROM jsonb_to_recordset(%s::jsonb) AS saved (id bigint, issued_count integer) WHERE coupon.id = saved.id
    """
    _wait_before_writing()


def money_from_memory() -> None:
    """A balance is read, and a little later overwritten with the read value minus the payment."""
    _do_not_lock(Accounts)
    Accounts.SAVE = """
        UPDATE "user" SET balance = saved.balance, ledger_head = saved.ledger_head
        FROM jsonb_to_recordset(%s::jsonb) AS saved (id bigint, balance bigint, ledger_head bytea)
        WHERE "user".id = saved.id
    """
    _wait_before_writing()


def cancels_that_look_first() -> None:
    """An order's status is read, and changed a little later; constraints on refunds and returns are dropped."""
    _do_not_lock(Orders, Products, HeldCoupons, Accounts)
    _wait_before_writing()
    with connection.cursor() as cursor:
        for index in ("user_balance_tx_each_refund_once", "stock_movement_each_once"):
            cursor.execute(f"DROP INDEX IF EXISTS {index}")
    connection.close()


def refunds_that_look_first() -> None:
    """The refundable units of an order are read, and refunded a little later; constraints on the sums are dropped."""
    _do_not_lock(Orders, ReturnableItems, Products, HeldCoupons, Accounts)
    _wait_before_writing()
    with connection.cursor() as cursor:
        cursor.execute('ALTER TABLE "order" DROP CONSTRAINT IF EXISTS order_refunds_fit_status')
        cursor.execute("ALTER TABLE order_item DROP CONSTRAINT IF EXISTS order_item_refunded_within_quantity")
    connection.close()


def forms_saved_over_anything() -> None:
    """A form does not check whether its row has changed."""
    _for_good.enter_context(mock.patch.object(staff_forms.OpenedForm, "clean_opened", return_value=""))
    _for_good.enter_context(mock.patch.object(products_operations, "require_unchanged"))


def _do_not_lock(*tables: type[LockedRows[Any]]) -> None:
    """Read these rows with the weakest row lock, which does not block other writes."""
    for table in tables:
        table.LOCK = table.LOCK.replace("FOR NO KEY UPDATE", "FOR KEY SHARE")


@cache
def _wait_before_writing() -> None:
    write = Group._write

    def late(self: Group, *arguments: Any) -> None:
        time.sleep(BETWEEN_SECONDS)
        write(self, *arguments)

    Group._write = late  # type: ignore[method-assign,assignment]  # that is the point
