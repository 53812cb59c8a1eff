"""Writing orders and refunds, inside a transaction that may be shared with other writes.

The statements on `order`, `refund` and their items; stock and money move in `products` and `balances`.
"""

from collections.abc import Iterable, Mapping, Sequence

from django.utils import timezone

from commerce.audit.record import Staff
from commerce.core.pipeline import Rows, Statement
from commerce.core.transaction import LockedRows, NewRows, RowsNotRegistered, Table, Transaction, as_json
from orders.errors import OrderNotFound
from orders.models import Order
from orders.rules import (
    COMPLETED,
    REFUNDED,
    Line,
    MadeRefund,
    OrderState,
    PlacedOrder,
    RefundedLine,
    ReturnableItem,
    require_within_limit,
)


class Orders(LockedRows[OrderState]):
    """The orders that are cancelled or refunded."""

    lock_order = 10
    row = OrderState
    LOCK = """
        SELECT id, status, cancelled_at, total_amount, paid_amount, refunded_amount, refunded_units FROM "order"
        WHERE id = ANY(%s::bigint[]) ORDER BY id FOR NO KEY UPDATE
    """
    EXIST = 'SELECT id FROM "order" WHERE id = ANY(%s::bigint[])'
    # Refunds are deltas, and a cancelled order stays cancelled: even without the row lock a constraint refuses a refund
    # of a cancelled order, a cancellation of a refunded one, and refunds above the paid amount.
    SAVE = """
        UPDATE "order" SET
            status = CASE "order".status WHEN 'CANCELLED' THEN 'CANCELLED' ELSE saved.status END,
            cancelled_at = coalesce(saved.cancelled_at, "order".cancelled_at),
            refunded_amount = refunded_amount + amount_moved,
            refunded_units = refunded_units + units_moved
        FROM jsonb_to_recordset(%s::jsonb) AS saved (
            id bigint, status text, cancelled_at timestamptz, amount_moved bigint, units_moved integer
        )
        WHERE "order".id = saved.id
    """


class ReturnableItems(LockedRows[ReturnableItem]):
    """The items of the orders that are refunded."""

    lock_order = 12
    row = ReturnableItem
    LOCK = """
        SELECT id, product_id, unit_price, quantity, refunded_quantity FROM order_item
        WHERE id = ANY(%s::bigint[]) ORDER BY id FOR NO KEY UPDATE
    """
    EXIST = "SELECT id FROM order_item WHERE id = ANY(%s::bigint[])"
    # A delta: even without the row lock a constraint refuses more refunded units than were bought.
    SAVE = """
        UPDATE order_item SET refunded_quantity = refunded_quantity + units_moved
        FROM jsonb_to_recordset(%s::jsonb) AS saved (id bigint, units_moved integer)
        WHERE order_item.id = saved.id
    """


class Refunds(NewRows):
    """The new refunds."""

    SEQUENCE = "refund_id_seq"
    INSERT = """
        INSERT INTO refund (id, order_id, amount, restock, reason, staff_id, created_at)
        SELECT * FROM jsonb_to_recordset(%s::jsonb) AS added (
            id bigint, order_id bigint, amount bigint, restock boolean, reason text, staff_id bigint,
            created_at timestamptz
        )
    """


class RefundItems(NewRows):
    """Their items, in the order of the request."""

    INSERT = """
        INSERT INTO refund_item (refund_id, product_id, quantity, amount)
        SELECT * FROM jsonb_to_recordset(%s::jsonb) AS added (
            refund_id bigint, product_id bigint, quantity integer, amount bigint
        )
    """


class NewOrders(NewRows):
    """The new orders."""

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


class BoughtUnits(Table):
    """Units of products with a purchase limit that customers have bought, without returned ones."""

    lock_order = 55
    """Read after the customer's account is locked: every order and refund of the customer locks it, so the sum cannot
    change in between."""
    READ = """
        SELECT asked.user_id, asked.product_id, sum(quantity - refunded_quantity)
        FROM jsonb_to_recordset(%s::jsonb) AS asked (user_id bigint, product_id bigint)
        JOIN "order" AS purchase ON purchase.user_id = asked.user_id AND status = 'COMPLETED'
        JOIN order_item ON order_id = purchase.id AND order_item.product_id = asked.product_id
        GROUP BY asked.user_id, asked.product_id
    """

    def __init__(self) -> None:
        self._asked: dict[tuple[int, int], None] = {}
        self._units: dict[tuple[int, int], int] = {}
        self._added: list[tuple[tuple[int, int], int]] = []

    def ask(self, user_id: int, product_id: int) -> None:
        self._asked[user_id, product_id] = None

    def units(self, user_id: int, product_id: int) -> int:
        """Units bought before this write. Raises RowsNotRegistered if they were not requested in `load`."""
        if (user_id, product_id) not in self._asked:
            _limited.add(product_id)
            raise RowsNotRegistered
        return self._units.get((user_id, product_id), 0)

    def add(self, user_id: int, product_id: int, units: int) -> None:
        """Add the units that this write buys (positive) or returns (negative)."""
        key = (user_id, product_id)
        self._units[key] = self._units.get(key, 0) + units
        self._added.append((key, units))

    def read(self) -> Statement | None:
        if not self._asked:
            return None
        asked = [{"user_id": user_id, "product_id": product_id} for user_id, product_id in self._asked]
        return Statement(self.READ, (as_json(asked),))

    def accept(self, rows: Rows) -> None:
        self._units = {(user_id, product_id): int(units) for user_id, product_id, units in rows}

    def keep(self) -> None:
        self._added.clear()

    def undo(self) -> None:
        for key, units in self._added:
            self._units[key] -= units
        self._added.clear()


_limited: set[int] = set()
"""Products that this process has seen with a purchase limit: their orders load the bought units at once. Orders of
other products skip that query; if one turns out to have a limit, the write is retried with it."""


def will_place(transaction: Transaction, user_id: int, product_ids: Iterable[int]) -> None:
    """Load what `next_order_id` and `require_within_limits` need."""
    transaction[NewOrders].reserve(1)
    if _limited:
        for product_id in _limited.intersection(product_ids):
            transaction[BoughtUnits].ask(user_id, product_id)


def require_within_limits(
    transaction: Transaction, user_id: int, limits: Mapping[int, int], quantities: Mapping[int, int]
) -> None:
    """Check an order (units by product id) against the purchase limits of its products.

    Raises PurchaseLimitExceeded.
    """
    bought = transaction[BoughtUnits]
    for product_id, limit in limits.items():
        quantity = quantities[product_id]
        already_bought = bought.units(user_id, product_id)
        require_within_limit(product_id, quantity, limit=limit, already_bought=already_bought)
        bought.add(user_id, product_id, quantity)


def took_back(transaction: Transaction, user_id: int, quantities: Mapping[int, int]) -> None:
    """Subtract returned units from the bought ones, for later orders in the same transaction."""
    if _limited:
        for product_id in _limited.intersection(quantities):
            transaction[BoughtUnits].add(user_id, product_id, -quantities[product_id])


def next_order_id(transaction: Transaction) -> int:
    """The id for the order that is being placed."""
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
    """Load what `cancel_order` needs."""
    transaction[Orders].want((order_id,))


def cancel_order(transaction: Transaction, order_id: int) -> None:
    """Cancel a completed order. Raises OrderNotFound, OrderNotCancellable."""
    _order(transaction, order_id).cancel(transaction.now)


def will_refund(transaction: Transaction, order_id: int, item_ids: Sequence[int]) -> None:
    """Load what `refund_order` needs; `item_ids`: all items of the order."""
    transaction[Orders].want((order_id,))
    transaction[ReturnableItems].want(item_ids)
    transaction[Refunds].reserve(1)


def refund_order(
    transaction: Transaction,
    *,
    order_id: int,
    item_ids: Sequence[int],
    quantities: Mapping[int, int],
    restock: bool,
    by: Staff,
) -> MadeRefund:
    """Write a refund of units (quantity by product id) with its amounts; no money or stock moves.

    Raises OrderNotFound, OrderNotRefundable, RefundExceedsOrder.
    """
    order = _order(transaction, order_id)
    rows = transaction[ReturnableItems]
    items = [item for item in map(rows.get, item_ids) if item is not None]
    lines = order.refund(items, quantities)
    refund = MadeRefund(
        id=transaction[Refunds].next_id(),
        order_id=order_id,
        amount=sum(line.amount for line in lines),
        restock=restock,
        reason=by.reason,
        staff_id=by.id,
        created_at=transaction.now,
        lines=lines,
        is_last=order.status == REFUNDED,
    )
    transaction[Refunds].add(refund)
    _add_items(transaction, refund.id, lines)
    return refund


def show_refunds(transaction: Transaction, order: Order, item_ids: Sequence[int]) -> None:
    """Update an order object, read before the transaction, with its refunded amounts and quantities."""
    rows = transaction[ReturnableItems]
    order.show_refunds(_order(transaction, order.pk), [row for row in map(rows.get, item_ids) if row is not None])


def _add_items(transaction: Transaction, refund_id: int, lines: Sequence[RefundedLine]) -> None:
    items = transaction[RefundItems]
    for line in lines:
        items.add(
            {
                "refund_id": refund_id,
                "product_id": line.product_id,
                "quantity": line.quantity,
                "amount": line.amount,
            }
        )


def _order(transaction: Transaction, order_id: int) -> OrderState:
    order = transaction[Orders].get(order_id)
    if order is None:
        raise OrderNotFound(order_id)
    return order
