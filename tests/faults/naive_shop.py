"""The shop as one would write it first, in the processes under test: look, decide, then change, and trust the locks.

Owns the patches that take several protections away together; the naive steps are those of the race tests. Called in
the shop's processes only.
"""

import time
from collections.abc import Callable
from contextlib import ExitStack
from datetime import datetime
from unittest import mock

from django.db import connection

from commerce.core.transaction import Transaction
from commerce.idempotency import claims
from commerce.staff_pages import forms as staff_forms
from products import operations as products_operations
from products.models import MovementReason, Product
from tests.concurrency import naive
from tests.faults.seams import reach_step
from tests.layers import LOCKS_OFF

BETWEEN_SECONDS = 0.1
"""From the look to the change."""

_for_good = ExitStack()


def no_locks() -> None:
    """Nobody waits for a lock, neither in this process nor in Redis."""
    for protection in LOCKS_OFF:
        protection.start()


def requests_not_locked() -> None:
    """Two requests with one key do not wait for each other."""
    claims.Once.locks = ()  # type: ignore[assignment]  # that is the point


def stock_from_memory() -> None:
    """The stock is read, and written a little later as what was read less what was bought."""
    _for_good.enter_context(naive.stock(_between("after-stock"), absolute=True))


def stock_in_the_order_of_the_cart() -> None:
    """Products are locked one after the other as the cart names them."""
    _for_good.enter_context(naive.stock_in_the_order_of_the_cart(_between("after-stock")))


def coupons_from_memory() -> None:
    """A coupon's count is read, and written a little later as one more than was read."""
    _for_good.enter_context(naive.issue(_between("after-effect"), absolute=True))


def money_from_memory() -> None:
    """A balance is read, and written a little later as what was read less what is paid."""
    _for_good.enter_context(naive.money(_between("after-balance"), absolute=True))


def cancels_that_look_first() -> None:
    """An order's status is looked at, and changed a little later; the database does not count refunds and returns."""
    _for_good.enter_context(naive.cancel(_between("after-effect")))
    with connection.cursor() as cursor:
        for index in ("user_balance_tx_one_refund_per_order", "stock_movement_once_per_order"):
            cursor.execute(f"DROP INDEX IF EXISTS {index}")
    connection.close()


def adjustments_from_memory() -> None:
    """The stock is read, and written a little later as what was read and what staff say is to be added."""

    def adjust_stock(unit: Transaction, *, product_id: int, delta: int, actor_id: int, note: str, now: datetime) -> int:
        stock = Product.objects.values_list("stock", flat=True).get(pk=product_id)
        time.sleep(BETWEEN_SECONDS)
        Product.objects.filter(pk=product_id).update(stock=stock + delta)
        adjustment = (product_id, MovementReason.ADJUSTMENT.value, delta, actor_id, note, now)
        unit.append(products_operations.INSERT_ADJUSTMENT, adjustment)
        return stock + delta

    products_operations.adjust_stock = adjust_stock


def forms_saved_over_anything() -> None:
    """A page does not know what it showed."""
    _for_good.enter_context(mock.patch.object(staff_forms.OpenedForm, "clean_opened", return_value=""))
    _for_good.enter_context(mock.patch.object(products_operations, "require_unchanged"))


def _between(step: str) -> Callable[[], None]:
    def wait() -> None:
        # The failpoint of the step that was replaced.
        reach_step(step)
        time.sleep(BETWEEN_SECONDS)

    return wait
