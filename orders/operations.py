"""Writing orders, inside a transaction that someone else has opened.

Owns the statements on `order` and `order_item`. Never opens a transaction, never moves stock or money.
"""

from collections.abc import Sequence
from datetime import datetime

from django.utils import timezone

from commerce.core import sql
from commerce.core.transaction import Transaction
from orders.errors import OrderNotCancellable
from orders.models import Order, OrderStatus
from orders.rules import Line

OPEN_ORDER = """
    INSERT INTO "order" (user_id, status, total_amount, discount_amount, paid_amount, user_coupon_id, ordered_date,
                         created_at)
    VALUES (%s, 'PROCESSING', %s, %s, %s, %s, %s, %s)
    RETURNING id
"""

INSERT_ITEMS = """
    INSERT INTO order_item (order_id, product_id, product_name, unit_price, quantity)
    SELECT %s, * FROM unnest(%s::bigint[], %s::text[], %s::bigint[], %s::integer[])
"""

COMPLETE_ORDER = """UPDATE "order" SET status = 'COMPLETED', completed_at = %s WHERE id = %s"""

CANCEL_ORDER = """
    UPDATE "order" SET status = 'CANCELLED', cancelled_at = %s WHERE id = %s AND status = 'COMPLETED' RETURNING id
"""


def open_order(
    unit: Transaction,
    *,
    user_id: int,
    lines: Sequence[Line],
    total_amount: int,
    discount_amount: int,
    user_coupon_id: int | None,
    now: datetime,
) -> Order:
    """Write an order and its items in PROCESSING; amounts are won. `complete_order` ends it once it is paid."""
    order = Order(
        user_id=user_id,
        status=OrderStatus.PROCESSING,
        total_amount=total_amount,
        discount_amount=discount_amount,
        paid_amount=total_amount - discount_amount,
        user_coupon_id=user_coupon_id,
        ordered_date=timezone.localdate(now),
        created_at=now,
    )
    row = sql.fetch_one(
        OPEN_ORDER,
        [user_id, total_amount, discount_amount, order.paid_amount, user_coupon_id, order.ordered_date, now],
    )
    if row is None:
        raise RuntimeError("INSERT … RETURNING returned nothing.")
    order.id = row[0]
    order.lines = list(lines)
    unit.append(
        INSERT_ITEMS,
        (
            order.id,
            [line.product_id for line in lines],
            [line.product_name for line in lines],
            [line.unit_price for line in lines],
            [line.quantity for line in lines],
        ),
    )
    return order


def complete_order(unit: Transaction, order: Order, *, now: datetime) -> None:
    """The order is paid."""
    order.status = OrderStatus.COMPLETED
    order.completed_at = now
    unit.append(COMPLETE_ORDER, (now, order.id))


def cancel_order(order: Order, *, now: datetime) -> None:
    """Take a completed order back. Of two at once, the second waits for the first and is refused.

    Raises OrderNotCancellable.
    """
    if sql.fetch_one(CANCEL_ORDER, [now, order.id]) is None:
        raise OrderNotCancellable(order.id, OrderStatus.CANCELLED.value)
    order.status = OrderStatus.CANCELLED
    order.cancelled_at = now
