"""The limits, amounts and states of an order.

Plain objects: no database, no clock.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Final

from orders.errors import (
    Excess,
    OrderNotCancellable,
    OrderNotRefundable,
    PurchaseLimitExceeded,
    RefundExceedsOrder,
)

COMPLETED: Final = "COMPLETED"
CANCELLED: Final = "CANCELLED"
REFUNDED: Final = "REFUNDED"


@dataclass(frozen=True, slots=True)
class Line:
    """Units of one product at their unit price (won)."""

    product_id: int
    product_name: str
    unit_price: int
    quantity: int
    refunded_quantity: int = 0
    """Units refunded so far."""

    @property
    def subtotal(self) -> int:
        """Won."""
        return self.unit_price * self.quantity


@dataclass(frozen=True, slots=True)
class PlacedOrder:
    """An order that has just been paid. Amounts are won."""

    id: int
    user_id: int
    status: str
    total_amount: int
    discount_amount: int
    paid_amount: int
    user_coupon_id: int | None
    ordered_date: date
    created_at: datetime
    completed_at: datetime
    cancelled_at: datetime | None
    lines: Sequence[Line]
    refunded_amount: int = 0


@dataclass(slots=True)
class ReturnableItem:
    """An item of an order with its refunded quantity."""

    id: int
    product_id: int
    unit_price: int
    """Won."""
    quantity: int
    refunded_quantity: int
    units_moved: int = 0
    """Units refunded since it was read."""

    @property
    def refundable(self) -> int:
        """Units that can still be refunded."""
        return self.quantity - self.refunded_quantity

    @property
    def value_returned(self) -> int:
        """Won, before any discount."""
        return self.unit_price * self.refunded_quantity

    def give_back(self, quantity: int) -> None:
        """Refund `quantity` units; the caller has checked that they are refundable."""
        self.refunded_quantity += quantity
        self.units_moved += quantity


@dataclass(frozen=True, slots=True)
class RefundedLine:
    """Refunded units of one product and their amount in won."""

    product_id: int
    quantity: int
    amount: int


@dataclass(frozen=True, slots=True)
class MadeRefund:
    """A new refund. `amount` is the won of all its lines."""

    id: int
    order_id: int
    amount: int
    restock: bool
    reason: str
    staff_id: int
    created_at: datetime
    lines: Sequence[RefundedLine]
    is_last: bool
    """Whether the order is now refunded in full."""


@dataclass(slots=True)
class OrderState:
    """The mutable state of an order, and the amounts (won) that refunds depend on."""

    id: int
    status: str
    cancelled_at: datetime | None
    total_amount: int
    paid_amount: int
    refunded_amount: int
    refunded_units: int
    amount_moved: int = 0
    """Won refunded since it was read."""
    units_moved: int = 0
    """Units refunded since it was read."""

    def cancel(self, now: datetime) -> None:
        """Cancel it. Raises OrderNotCancellable if it is cancelled, or refunded even in part."""
        if self.status != COMPLETED or self.refunded_units:
            raise OrderNotCancellable(self.id, self.status)
        self.status = CANCELLED
        self.cancelled_at = now

    def refund(self, items: Sequence[ReturnableItem], quantities: Mapping[int, int]) -> list[RefundedLine]:
        """Refund units (quantity by product id), all or none; `items`: all items of the order.

        The total refunded so far is always `refunded_share` of the total value returned so far, so that rounding does
        not depend on the number of steps, and the last refund pays the rest. With the last unit the order is REFUNDED.

        Raises OrderNotRefundable, RefundExceedsOrder with every product that has fewer refundable units.
        """
        if self.status != COMPLETED:
            raise OrderNotRefundable(self.id, self.status)
        by_product = {item.product_id: item for item in items}
        left = {each: by_product[each].refundable if each in by_product else 0 for each in quantities}
        excesses = [
            Excess(each, quantity, left[each]) for each, quantity in quantities.items() if quantity > left[each]
        ]
        if excesses:
            raise RefundExceedsOrder(self.id, excesses)
        value = sum(item.value_returned for item in items)
        lines = []
        for product_id, quantity in quantities.items():
            item = by_product[product_id]
            item.give_back(quantity)
            value += item.unit_price * quantity
            amount = refunded_share(self.paid_amount, value, self.total_amount) - self.refunded_amount
            self._move(amount, quantity)
            lines.append(RefundedLine(product_id, quantity, amount))
        if not any(item.refundable for item in items):
            self.status = REFUNDED
        return lines

    def _move(self, amount: int, units: int) -> None:
        self.refunded_amount += amount
        self.amount_moved += amount
        self.refunded_units += units
        self.units_moved += units


def refunded_share(paid_amount: int, value_returned: int, total_amount: int) -> int:
    """The share of the paid won for items worth `value_returned` won of `total_amount`, rounded down."""
    return paid_amount * value_returned // total_amount if total_amount else 0


def total_of(lines: Iterable[Line]) -> int:
    """Won, before any discount."""
    return sum(line.unit_price * line.quantity for line in lines)


def require_within_limit(product_id: int, quantity: int, *, limit: int, already_bought: int) -> None:
    """Raises PurchaseLimitExceeded if `quantity` more units of a product exceed the limit per customer."""
    if already_bought + quantity > limit:
        raise PurchaseLimitExceeded(product_id, limit=limit, already_bought=already_bought)
