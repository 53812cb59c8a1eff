"""What cancelling or refunding will do, shown before it is done.

Owns the reckoning, from rows that others have read; never asks the database and never changes anything.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from balances.events import BALANCE_CHANGED
from commerce.outbox.routes import destinations_of
from orders.events import ORDER_CANCELLED, ORDER_REFUNDED
from orders.models import Order, OrderItem, OrderStatus
from orders.rules import OrderState, ReturnableItem


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
    """Everything that cancelling these orders, or refunding lines of one, will do."""

    orders: Sequence[Order]
    """Those that can be cancelled."""
    left_alone: Sequence[Order]
    """Those that have been cancelled or refunded already, in part or as a whole."""
    money: Sequence[MoneyBack]
    units: Sequence[UnitsBack]
    coupons: Sequence[CouponBack]
    events: Sequence[SentEvent]

    @property
    def amount(self) -> int:
        """Won."""
        return sum(back.amount for back in self.money)

    @property
    def unit_count(self) -> int:
        return sum(back.quantity for back in self.units)


def consequences_of(orders: Sequence[Order], *, now: datetime) -> Consequences:
    """What cancelling will do to customers, stock and coupons as they are now; `orders` come with all of these."""
    live = [order for order in orders if order.is_cancellable]
    return Consequences(
        orders=live,
        left_alone=[order for order in orders if not order.is_cancellable],
        money=_money([(order, order.paid_amount) for order in live]),
        units=_units([(item, item.quantity) for order in live for item in order.items.all()]),
        coupons=_coupons(live, now),
        events=_events(ORDER_CANCELLED),
    )


def consequences_of_refund(
    order: Order, quantities: Mapping[int, int], *, restock: bool, now: datetime
) -> Consequences:
    """What a refund of units (quantity by product id) will do, as things are now; `order` comes with all of them.

    Raises what the refund would be refused with.
    """
    items = list(order.items.all())
    state = OrderState(
        id=order.pk,
        status=order.status,
        cancelled_at=order.cancelled_at,
        total_amount=order.total_amount,
        paid_amount=order.paid_amount,
        refunded_amount=order.refunded_amount,
        refunded_units=order.refunded_units,
    )
    lines = state.refund(
        [
            ReturnableItem(item.pk, item.product_id, item.unit_price, item.quantity, item.refunded_quantity)
            for item in items
        ],
        quantities,
    )
    is_last = state.status == OrderStatus.REFUNDED
    return Consequences(
        orders=[order],
        left_alone=[],
        money=_money([(order, sum(line.amount for line in lines))]),
        units=_units(
            [(item, quantities[item.product_id]) for item in items if restock and item.product_id in quantities]
        ),
        coupons=_coupons([order], now) if is_last else [],
        events=_events(ORDER_REFUNDED),
    )


def _coupons(orders: Sequence[Order], now: datetime) -> list[CouponBack]:
    return [
        CouponBack(
            user_coupon.pk,
            user_coupon.coupon.name,
            order.user.get_username(),
            user_coupon.expires_at,
            user_coupon.expires_at > now,
        )
        for order in orders
        if (user_coupon := order.user_coupon) is not None
    ]


def _events(*event_types: str) -> list[SentEvent]:
    return [SentEvent(event_type, destinations_of(event_type)) for event_type in (*event_types, BALANCE_CHANGED)]


def _money(orders: Sequence[tuple[Order, int]]) -> list[MoneyBack]:
    """`orders`, each with the won that go back."""
    amounts: dict[int, int] = {}
    for order, amount in orders:
        amounts[order.user_id] = amounts.get(order.user_id, 0) + amount
    users = {order.user_id: order.user for order, _amount in orders}
    return [
        MoneyBack(user_id, user.get_username(), not user.is_active, amounts[user_id], user.balance)
        for user_id, user in users.items()
    ]


def _units(items: Sequence[tuple[OrderItem, int]]) -> list[UnitsBack]:
    """`items`, each with the units that go back."""
    quantities: dict[int, int] = {}
    for item, quantity in items:
        quantities[item.product_id] = quantities.get(item.product_id, 0) + quantity
    products = {item.product_id: item.product for item, _quantity in items}
    return [
        UnitsBack(product_id, product.name, product.is_active, quantities[product_id], product.stock)
        for product_id, product in sorted(products.items())
    ]
