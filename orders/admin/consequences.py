"""What cancelling will do, shown before it is done.

Owns the reckoning, from rows that others have read; never asks the database and never changes anything.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from balances.events import BALANCE_CHANGED
from commerce.outbox.routes import destinations_of
from orders.events import ORDER_CANCELLED
from orders.models import Order, OrderStatus


@dataclass(frozen=True)
class MoneyBack:
    """Won that go back to one account, of one order or of several."""

    user_id: int
    name: str
    is_closed: bool
    amount: int
    before: int

    @property
    def after(self) -> int:
        return self.before + self.amount


@dataclass(frozen=True)
class UnitsBack:
    """Units of one product that go back on the shelf."""

    product_id: int
    name: str
    is_for_sale: bool
    quantity: int
    before: int

    @property
    def after(self) -> int:
        return self.before + self.quantity


@dataclass(frozen=True)
class CouponBack:
    """A coupon that its owner gets back, of use or too late."""

    user_coupon_id: int
    name: str
    owner: str
    expires_at: datetime
    is_usable: bool


@dataclass(frozen=True)
class SentEvent:
    """An event and the destinations that will get it."""

    event_type: str
    destinations: Sequence[str]


@dataclass(frozen=True)
class Consequences:
    """Everything that cancelling these orders will do."""

    orders: Sequence[Order]
    """Those that can be cancelled."""
    left_alone: Sequence[Order]
    """Those that have been cancelled already."""
    money: Sequence[MoneyBack]
    units: Sequence[UnitsBack]
    coupons: Sequence[CouponBack]
    events: Sequence[SentEvent]

    @property
    def amount(self) -> int:
        """Won."""
        return sum(order.paid_amount for order in self.orders)

    @property
    def unit_count(self) -> int:
        return sum(back.quantity for back in self.units)


def consequences_of(orders: Sequence[Order], *, now: datetime) -> Consequences:
    """What cancelling will do to customers, stock and coupons as they are now; `orders` come with all of these."""
    live = [order for order in orders if order.status == OrderStatus.COMPLETED]
    return Consequences(
        orders=live,
        left_alone=[order for order in orders if order.status != OrderStatus.COMPLETED],
        money=_money(live),
        units=_units(live),
        coupons=[
            CouponBack(unit.pk, unit.coupon.name, order.user.get_username(), unit.expires_at, unit.expires_at > now)
            for order in live
            if (unit := order.user_coupon) is not None
        ],
        events=[
            SentEvent(event_type, destinations_of(event_type)) for event_type in (ORDER_CANCELLED, BALANCE_CHANGED)
        ],
    )


def _money(orders: Sequence[Order]) -> list[MoneyBack]:
    amounts: dict[int, int] = {}
    for order in orders:
        amounts[order.user_id] = amounts.get(order.user_id, 0) + order.paid_amount
    users = {order.user_id: order.user for order in orders}
    return [
        MoneyBack(user_id, user.get_username(), not user.is_active, amounts[user_id], user.balance)
        for user_id, user in users.items()
    ]


def _units(orders: Sequence[Order]) -> list[UnitsBack]:
    items = [item for order in orders for item in order.items.all()]
    quantities: dict[int, int] = {}
    for item in items:
        quantities[item.product_id] = quantities.get(item.product_id, 0) + item.quantity
    products = {item.product_id: item.product for item in items}
    return [
        UnitsBack(product_id, product.name, product.is_active, quantities[product_id], product.stock)
        for product_id, product in sorted(products.items())
    ]
