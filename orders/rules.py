"""The limits and the arithmetic of an order, and what can become of it.

Plain objects: no database, no clock.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Final

from orders.errors import OrderNotCancellable

COMPLETED: Final = "COMPLETED"
CANCELLED: Final = "CANCELLED"


@dataclass(frozen=True, slots=True)
class Line:
    """Units of one product at the price (won) they are sold for."""

    product_id: int
    product_name: str
    unit_price: int
    quantity: int

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


@dataclass(slots=True)
class OrderState:
    """What changes of an order after it was placed."""

    id: int
    status: str
    cancelled_at: datetime | None

    def cancel(self, now: datetime) -> None:
        """Take it back. Raises OrderNotCancellable for one that has been already."""
        if self.status != COMPLETED:
            raise OrderNotCancellable(self.id, self.status)
        self.status = CANCELLED
        self.cancelled_at = now


def total_of(lines: Iterable[Line]) -> int:
    """Won, before any discount."""
    return sum(line.unit_price * line.quantity for line in lines)
