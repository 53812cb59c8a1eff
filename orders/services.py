"""What a customer does with an order.

Owns the locks and the transaction of each use case and the order of its steps; each step belongs to its app.
"""

from collections.abc import Mapping
from functools import partial

from django.utils import timezone
from django.utils.translation import gettext_noop

from balances.operations import refund, withdraw
from commerce.audit.record import Staff, record
from commerce.core.locks import locked_transaction, product_lock
from commerce.idempotency.claims import Once
from commerce.outbox.publish import publish
from coupons.operations import redeem, release
from orders import operations, selectors
from orders.events import order_cancelled, order_completed
from orders.models import Order, OrderStatus
from orders.rules import Line, total_of
from products.operations import record_sale, require_stock, return_stock, take_stock

CANCELLED = gettext_noop("Cancelled and refunded")


def place_order(*, user_id: int, quantities: Mapping[int, int], user_coupon_id: int | None, once: Once) -> Order:
    """Buy units of products (quantity by product id) and pay them from the user's balance.

    Raises ProductNotFound, OutOfStock, CouponNotUsable, InsufficientBalance, UserNotFound, LockTimeout.
    """
    look = partial(require_stock, quantities)
    with locked_transaction(*map(product_lock, quantities), *once.locks, before_waiting=look) as unit:
        now = timezone.now()
        taken = {line.product_id: line for line in take_stock(quantities)}
        lines = [
            Line(product_id, taken[product_id].name, taken[product_id].price, quantity)
            for product_id, quantity in quantities.items()
        ]
        total_amount = total_of(lines)
        discount_amount = 0
        if user_coupon_id is not None:
            discount = redeem(user_id=user_id, user_coupon_id=user_coupon_id, total_amount=total_amount, now=now)
            discount_amount = discount.off(total_amount)
        order = operations.open_order(
            unit,
            user_id=user_id,
            lines=lines,
            total_amount=total_amount,
            discount_amount=discount_amount,
            user_coupon_id=user_coupon_id,
            now=now,
        )
        record_sale(unit, quantities, order_id=order.id, now=now)
        withdraw(unit, user_id=user_id, amount=order.paid_amount, order_id=order.id, now=now)
        operations.complete_order(unit, order, now=now)
        publish(unit, order_completed(order))
        once.remember(unit, order)
    return order


def cancel_order(*, order_id: int, owner_id: int | None, once: Once, by: Staff | None = None) -> Order:
    """Take the whole order back: stock, coupon and money return. `owner_id` None: whoever's it is.

    `by`: the member of staff who does it, which is written down; None for the customer.

    Raises OrderNotFound, OrderNotCancellable, LockTimeout.
    """
    order = selectors.order_for(order_id, owner_id=owner_id)
    quantities = {line.product_id: line.quantity for line in order.lines}
    with locked_transaction(*map(product_lock, quantities), *once.locks) as unit:
        now = timezone.now()
        operations.cancel_order(order, now=now)
        return_stock(unit, quantities, order_id=order.id, now=now)
        if order.user_coupon_id is not None:
            release(order.user_coupon_id)
        refund(unit, user_id=order.user_id, amount=order.paid_amount, order_id=order.id, now=now)
        publish(unit, order_cancelled(order))
        if by is not None:
            before, after = {"status": OrderStatus.COMPLETED.value}, {"status": OrderStatus.CANCELLED.value}
            record(by, CANCELLED, order, before=before, after={**after, "refunded": order.paid_amount})
        once.remember(unit, order)
    return order
