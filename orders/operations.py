"""Writing orders, inside a transaction that other writes share.

Owns the statements on `order` and `order_item`. Never opens a transaction, never moves stock or money.
"""

from collections.abc import Sequence

from django.utils import timezone

from commerce.core.transaction import LockedRows, NewRows, Transaction
from orders.errors import OrderNotFound
from orders.rules import COMPLETED, Line, OrderState, PlacedOrder


class Orders(LockedRows[OrderState]):
    """The orders that are cancelled."""

    lock_order = 10
    row = OrderState
    LOCK = """
        SELECT id, status, cancelled_at FROM "order" WHERE id = ANY(%s::bigint[]) ORDER BY id FOR NO KEY UPDATE
    """
    EXIST = 'SELECT id FROM "order" WHERE id = ANY(%s::bigint[])'
    SAVE = """
        UPDATE "order" SET status = saved.status, cancelled_at = saved.cancelled_at
        FROM jsonb_to_recordset(%s::jsonb) AS saved (id bigint, status text, cancelled_at timestamptz)
        WHERE "order".id = saved.id
    """


class NewOrders(NewRows):
    """The orders that are placed."""

    SEQUENCE = "order_id_seq"
    INSERT = """
        INSERT INTO "order" (id, user_id, status, total_amount, discount_amount, paid_amount, user_coupon_id,
                             ordered_date, created_at, completed_at)
        SELECT * FROM jsonb_to_recordset(%s::jsonb) AS added (
            id bigint, user_id bigint, status text, total_amount bigint, discount_amount bigint, paid_amount bigint,
            user_coupon_id bigint, ordered_date date, created_at timestamptz, completed_at timestamptz
        )
    """


class OrderItems(NewRows):
    """Their items, in the order of the request."""

    INSERT = """
        INSERT INTO order_item (order_id, product_id, product_name, unit_price, quantity)
        SELECT * FROM jsonb_to_recordset(%s::jsonb) AS added (
            order_id bigint, product_id bigint, product_name text, unit_price bigint, quantity integer
        )
    """


def will_place(transaction: Transaction) -> None:
    """Have what `next_order_id` needs."""
    transaction[NewOrders].reserve(1)


def next_order_id(transaction: Transaction) -> int:
    """The number of the order that is being placed."""
    return transaction[NewOrders].next_id()


def place_order(
    transaction: Transaction,
    *,
    order_id: int,
    user_id: int,
    lines: Sequence[Line],
    total_amount: int,
    discount_amount: int,
    user_coupon_id: int | None,
) -> PlacedOrder:
    """Write a paid order and its items; amounts are won."""
    now = transaction.now
    order = PlacedOrder(
        id=order_id,
        user_id=user_id,
        status=COMPLETED,
        total_amount=total_amount,
        discount_amount=discount_amount,
        paid_amount=total_amount - discount_amount,
        user_coupon_id=user_coupon_id,
        ordered_date=timezone.localdate(now),
        created_at=now,
        completed_at=now,
        cancelled_at=None,
        lines=lines,
    )
    transaction[NewOrders].add(order)
    items = transaction[OrderItems]
    for line in lines:
        items.add(
            {
                "order_id": order_id,
                "product_id": line.product_id,
                "product_name": line.product_name,
                "unit_price": line.unit_price,
                "quantity": line.quantity,
            }
        )
    return order


def will_cancel(transaction: Transaction, order_id: int) -> None:
    """Have what `cancel_order` needs."""
    transaction[Orders].want((order_id,))


def cancel_order(transaction: Transaction, order_id: int) -> None:
    """Take a completed order back. Raises OrderNotFound, OrderNotCancellable."""
    order = transaction[Orders].get(order_id)
    if order is None:
        raise OrderNotFound(order_id)
    order.cancel(transaction.now)
