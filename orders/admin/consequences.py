"""The consequences of cancelling or refunding, shown before it is done. Computed from loaded rows, without queries."""

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
    """Won returned to one account, for one or several orders."""

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
    """Units of one product that return to stock."""

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
    """A coupon returned to its owner; `is_usable` is false if it has expired."""

    user_coupon_id: int
    name: str
    owner: str
    expires_at: datetime
    is_usable: bool


@dataclass(frozen=True)
class SentEvent:
    """An event and its destinations."""

    event_type: str
    destinations: Sequence[str]


@dataclass(frozen=True)
class Consequences:
    """All consequences of cancelling these orders, or of refunding items of one."""

    orders: Sequence[Order]
    """Orders that can be cancelled."""
    left_alone: Sequence[Order]
    """Orders that were already cancelled or refunded, in part or as a whole."""
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
    """The consequences of cancelling `orders`, which must be loaded with customers, products and coupons."""
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
    """The consequences of refunding units (quantity by product id) of `order`, loaded with its items and products.

    Raises the refusal of the refund.
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
    """`orders`: each with the won to return."""
    amounts: dict[int, int] = {}
    for order, amount in orders:
        amounts[order.user_id] = amounts.get(order.user_id, 0) + amount
    users = {order.user_id: order.user for order, _amount in orders}
    return [
        MoneyBack(user_id, user.get_username(), not user.is_active, amounts[user_id], user.balance)
        for user_id, user in users.items()
    ]


def _units(items: Sequence[tuple[OrderItem, int]]) -> list[UnitsBack]:
    """`items`: each with the units to return."""
    quantities: dict[int, int] = {}
    for item, quantity in items:
        quantities[item.product_id] = quantities.get(item.product_id, 0) + quantity
    products = {item.product_id: item.product for item, _quantity in items}
    return [
        UnitsBack(product_id, product.name, product.is_active, quantities[product_id], product.stock)
        for product_id, product in sorted(products.items())
    ]
