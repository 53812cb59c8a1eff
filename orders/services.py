"""Use cases of orders: place, pay a reservation, cancel, refund.

Each acquires its locks, opens its transaction and calls the operations of each app in a fixed order.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from django.utils.translation import gettext_noop

from balances import operations as wallet
from commerce.audit.record import Staff, add_record
from commerce.core.errors import LockTimeout
from commerce.core.locks import product_lock
from commerce.core.transaction import Transaction
from commerce.idempotency.commit import Idempotency, commit_once, refuse_once
from commerce.outbox.publish import publish
from coupons import operations as coupons
from orders import operations, selectors
from orders.errors import OrderNotFound
from orders.events import order_cancelled, order_completed, order_refunded
from orders.models import Order, OrderStatus
from orders.rules import Line, MadeRefund, PlacedOrder, total_of
from products import operations as stock
from products.errors import OutOfStock
from products.rules import StockedProduct
from reservations import operations as holds
from reservations.errors import ReservationNotFound
from reservations.models import Reservation
from reservations.operations import UnitsHeld
from reservations.selectors import Expired, expired_on, reservation_for

CANCELLED = gettext_noop("Cancelled and refunded")
MOST_TRIES = 10
"""Attempts of an order before LockTimeout, when reservations expire between its query and its transaction."""
REFUNDED = gettext_noop("Refunded")


def place_order(
    *, user_id: int, quantities: Mapping[int, int], user_coupon_id: int | None, idempotency: Idempotency
) -> PlacedOrder:
    """Buy units of products (quantity by product id) and pay them from the user's balance.

    Raises ProductNotFound, OutOfStock, PurchaseLimitExceeded, CouponNotUsable, InsufficientBalance, UserNotFound,
    LockTimeout.
    """
    try:
        return commit_once(PlaceOrder(user_id, quantities, user_coupon_id), idempotency)
    except UnitsHeld:
        return _place_with_expired(user_id, quantities, user_coupon_id, idempotency)


def _place_with_expired(
    user_id: int, quantities: Mapping[int, int], user_coupon_id: int | None, idempotency: Idempotency
) -> PlacedOrder:
    """`place_order` when too little is available and expired reservations may hold stock: end these as well."""
    for _try in range(MOST_TRIES):
        expired = expired_on(quantities)
        try:
            return commit_once(PlaceOrder(user_id, quantities, user_coupon_id, expired=expired), idempotency)
        except UnitsHeld:
            continue
    raise LockTimeout


def pay_reservation(
    *, user_id: int, reservation_id: int, user_coupon_id: int | None, idempotency: Idempotency
) -> PlacedOrder:
    """Buy exactly the items of the user's reservation at current prices and pay them from the user's balance.

    Raises ReservationNotFound, ReservationExpired, ProductNotFound for a product that is not for sale any more,
    PurchaseLimitExceeded, CouponNotUsable, InsufficientBalance, UserNotFound, LockTimeout. On a refusal the reservation
    is unchanged.
    """
    try:
        reservation = reservation_for(reservation_id, owner_id=user_id)
    except ReservationNotFound as refusal:
        refuse_once(refusal, idempotency)
    return commit_once(
        PlaceOrder(user_id, reservation.quantities, user_coupon_id, reservation=reservation), idempotency
    )


def cancel_order(*, order_id: int, owner_id: int | None, idempotency: Idempotency, by: Staff | None = None) -> Order:
    """Cancel the whole order: stock, coupon and money are returned. `owner_id` None: an order of any customer.

    `by`: the member of staff, for the audit record; None if the customer cancels.

    Raises OrderNotFound, OrderNotCancellable, LockTimeout.
    """
    try:
        order = selectors.order_for(order_id, owner_id=owner_id)
    except OrderNotFound as refusal:
        refuse_once(refusal, idempotency)
    return commit_once(CancelOrder(order, by), idempotency)


@dataclass(frozen=True, slots=True)
class Refunded:
    """A refund, and its order as it is afterwards."""

    refund: MadeRefund
    order: Order


def refund_order(
    *, order_id: int, quantities: Mapping[int, int], restock: bool, by: Staff, idempotency: Idempotency
) -> Refunded:
    """Refund units of an order (quantity by product id) and their amount, with the reason in `by`.

    `restock`: whether the units return to stock. With the last unit the order is REFUNDED, and its coupon is returned.

    Raises OrderNotFound, OrderNotRefundable, RefundExceedsOrder, LockTimeout.
    """
    try:
        order = selectors.order_to_refund(order_id)
    except OrderNotFound as refusal:
        refuse_once(refusal, idempotency)
    return commit_once(RefundOrder(order, quantities, restock, by), idempotency)


@dataclass(frozen=True, slots=True)
class PlaceOrder:
    """See `place_order` and `pay_reservation`."""

    user_id: int
    quantities: Mapping[int, int]
    user_coupon_id: int | None
    reservation: Reservation | None = None
    """The reservation that holds the units."""
    expired: Expired | None = None
    """Expired reservations that hold stock of these products; None: not loaded."""

    def locks(self) -> list[str]:
        if self.expired is not None:
            return [product_lock(product_id) for product_id in {*self.quantities, *self.expired.product_ids}]
        return [product_lock(product_id) for product_id in self.quantities]

    def load(self, transaction: Transaction) -> None:
        if self.reservation is not None:
            holds.will_end(transaction, (self.reservation,))
        if self.expired is not None:
            holds.will_end(transaction, self.expired.reservations)
        stock.will_move(transaction, self.quantities)
        if self.user_coupon_id is not None:
            coupons.will_redeem(transaction, self.user_coupon_id)
        wallet.will_move(transaction, self.user_id)
        operations.will_place(transaction, self.user_id, self.quantities)

    def decide(self, transaction: Transaction) -> PlacedOrder:
        order_id = operations.next_order_id(transaction)
        products = self._take(transaction, order_id)
        limits = {each.id: each.purchase_limit for each in products.values() if each.purchase_limit is not None}
        if limits:
            operations.require_within_limits(transaction, self.user_id, limits, self.quantities)
        lines = [
            Line(product_id, products[product_id].name, products[product_id].price, quantity)
            for product_id, quantity in self.quantities.items()
        ]
        total_amount = total_of(lines)
        discount_amount = 0
        if self.user_coupon_id is not None:
            discount_amount = coupons.redeem(
                transaction, user_id=self.user_id, user_coupon_id=self.user_coupon_id, total_amount=total_amount
            )
        paid_amount = total_amount - discount_amount
        wallet.withdraw(transaction, user_id=self.user_id, amount=paid_amount, order_id=order_id)
        order = operations.place_order(
            transaction,
            order_id=order_id,
            user_id=self.user_id,
            lines=lines,
            total_amount=total_amount,
            discount_amount=discount_amount,
            user_coupon_id=self.user_coupon_id,
        )
        publish(transaction, order_completed(order))
        return order

    def _take(self, transaction: Transaction, order_id: int) -> Mapping[int, StockedProduct]:
        if self.reservation is not None:
            return holds.pay(transaction, self.reservation, order_id=order_id)
        if self.expired is not None:
            holds.return_expired(transaction, self.expired.reservations)
        try:
            return stock.take_stock(transaction, self.quantities, order_id=order_id)
        except OutOfStock as refusal:
            holds.require_nothing_expired(transaction, refusal, self.expired)
            raise


@dataclass(frozen=True, slots=True)
class CancelOrder:
    """See `cancel_order`. The items of an order never change, so they are read before the transaction."""

    order: Order
    by: Staff | None

    def locks(self) -> list[str]:
        return [product_lock(line.product_id) for line in self.order.lines]

    def load(self, transaction: Transaction) -> None:
        operations.will_cancel(transaction, self.order.pk)
        stock.will_move(transaction, [line.product_id for line in self.order.lines])
        if self.order.user_coupon_id is not None:
            coupons.will_redeem(transaction, self.order.user_coupon_id)
        wallet.will_move(transaction, self.order.user_id)

    def decide(self, transaction: Transaction) -> Order:
        order = self.order
        operations.cancel_order(transaction, order.pk)
        quantities = {line.product_id: line.quantity for line in order.lines}
        stock.return_stock(transaction, quantities, order_id=order.pk)
        operations.took_back(transaction, order.user_id, quantities)
        if order.user_coupon_id is not None:
            coupons.release(transaction, order.user_coupon_id)
        wallet.refund(transaction, user_id=order.user_id, amount=order.paid_amount, order_id=order.pk)
        order.status = OrderStatus.CANCELLED
        order.cancelled_at = transaction.now
        publish(transaction, order_cancelled(order))
        if self.by is not None:
            before = {"status": OrderStatus.COMPLETED.value}
            after = {"status": OrderStatus.CANCELLED.value, "refunded": order.paid_amount}
            add_record(transaction, self.by, CANCELLED, Order, order.pk, before=before, after=after)
        return order


@dataclass(frozen=True, slots=True)
class RefundOrder:
    """See `refund_order`. `order` is loaded with its items."""

    order: Order
    quantities: Mapping[int, int]
    restock: bool
    by: Staff

    @property
    def _item_ids(self) -> list[int]:
        return [item.pk for item in self.order.items.all()]

    @property
    def _restocked(self) -> list[int]:
        """The ids of the products that are restocked."""
        return [
            item.product_id for item in self.order.items.all() if self.restock and item.product_id in self.quantities
        ]

    def locks(self) -> list[str]:
        return [product_lock(product_id) for product_id in self._restocked]

    def load(self, transaction: Transaction) -> None:
        operations.will_refund(transaction, self.order.pk, self._item_ids)
        stock.will_move(transaction, self._restocked)
        if self.order.user_coupon_id is not None:
            coupons.will_redeem(transaction, self.order.user_coupon_id)
        wallet.will_move(transaction, self.order.user_id)

    def decide(self, transaction: Transaction) -> Refunded:
        order = self.order
        refund = operations.refund_order(
            transaction,
            order_id=order.pk,
            item_ids=self._item_ids,
            quantities=self.quantities,
            restock=self.restock,
            by=self.by,
        )
        if self.restock:
            stock.return_stock(transaction, self.quantities, order_id=order.pk, refund_id=refund.id)
        operations.took_back(transaction, order.user_id, self.quantities)
        if refund.is_last and order.user_coupon_id is not None:
            coupons.release(transaction, order.user_coupon_id)
        wallet.refund(transaction, user_id=order.user_id, amount=refund.amount, order_id=order.pk, refund_id=refund.id)
        operations.show_refunds(transaction, order, self._item_ids)
        publish(transaction, order_refunded(refund, order))
        before = {"status": OrderStatus.COMPLETED.value, "refunded": order.refunded_amount - refund.amount}
        after = {
            "status": order.status,
            "refunded": order.refunded_amount,
            "units": sum(line.quantity for line in refund.lines),
            "restock": self.restock,
        }
        add_record(transaction, self.by, REFUNDED, Order, order.pk, before=before, after=after)
        return Refunded(refund, order)
