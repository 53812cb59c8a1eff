"""The year of the large demo shop as database rows.

Assigns ids and keeps balances and stocks consistent, as `rows` does for the small shop. Only a few days are in memory
at a time. Writes nothing.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, TypeAlias

from django.db import models

from balances.events import balance_changed
from balances.models import EntryType, LedgerEntry
from balances.rules import START_OF_CHAIN, entry_hash
from commerce.demo import outbox_rows
from commerce.demo.assortment import DAYS, Assortment
from commerce.demo.dates import Calendar
from commerce.demo.outbox_rows import OutboxRows
from commerce.demo.week import Charge
from commerce.demo.year import LONGEST_RETURN_DAYS, CouponIssue, Goodwill, Happening, PartRefund, Restock, Return, Sale
from commerce.outbox.publish import event_id
from coupons.events import coupon_issued
from coupons.models import Coupon, UserCoupon, UserCouponStatus
from orders.events import (
    ORDER_CANCELLED,
    ORDER_COMPLETED,
    ORDER_REFUNDED,
    order_cancelled,
    order_completed,
    order_refunded,
)
from orders.models import Order, OrderItem, OrderStatus, Refund, RefundItem
from orders.rules import MadeRefund, RefundedLine
from products.models import MovementReason, StockMovement
from stats.models import ProcessedEvent, ProductStat

Tables: TypeAlias = Mapping[type[models.Model], list[tuple[Any, ...]]]

COLUMNS: Mapping[type[models.Model], Sequence[str]] = {
    UserCoupon: ("id", "user_id", "coupon_id", "status", "issued_at", "expires_at"),
    Order: (
        *("id", "user_id", "status", "total_amount", "discount_amount", "paid_amount", "user_coupon_id"),
        *("ordered_date", "created_at", "completed_at", "cancelled_at", "refunded_amount", "refunded_units"),
    ),
    OrderItem: ("id", "order_id", "product_id", "product_name", "unit_price", "quantity", "refunded_quantity"),
    Refund: ("id", "order_id", "amount", "restock", "reason", "staff_id", "created_at"),
    RefundItem: ("id", "refund_id", "product_id", "quantity", "amount"),
    LedgerEntry: (
        *("id", "user_id", "type", "amount", "balance_after", "order_id", "created_at", "entry_hash", "refund_id"),
    ),
    StockMovement: (
        *("id", "product_id", "reason", "quantity", "order_id", "actor_id", "note", "created_at", "refund_id"),
    ),
    ProductStat: ("id", "product_id", "date", "quantity_sold"),
    ProcessedEvent: ("event_id", "processed_at"),
    **outbox_rows.COLUMNS,
}
"""The columns of each table. A table comes after those that it refers to."""

MESSAGE_DAYS = 7
"""The default retention of delivered messages."""
SUPPLY = "입고 / Supply"

# Constants, because looking up and converting enum members some millions of times is slow.
_CHARGE, _PAYMENT = EntryType.CHARGE.value, EntryType.PAYMENT.value
_REFUND, _ADJUSTMENT = EntryType.REFUND.value, EntryType.ADJUSTMENT.value
_COMPLETED, _CANCELLED = OrderStatus.COMPLETED.value, OrderStatus.CANCELLED.value


@dataclass
class Part:
    """The rows of some days.

    Attributes:
        tables: the rows by model, in the order of `COLUMNS`.
        coupon_uses: coupon units by id with the time of their use, or None if they were returned.
    """

    tables: Tables = field(default_factory=lambda: {model: [] for model in COLUMNS})
    coupon_uses: dict[int, datetime | None] = field(default_factory=dict)

    @property
    def size(self) -> int:
        """Number of rows."""
        return sum(len(rows) for rows in self.tables.values())


class YearRows:
    """The rows of the year, created day by day.

    Attributes:
        part: the rows that have not been taken yet.
        balances, heads: by customer, the balance in won and the hash of the newest ledger entry.
        stock: units by product.
        issued: units by coupon.
    """

    def __init__(self, assortment: Assortment, calendar: Calendar, coupons: Sequence[Coupon], *, staff_id: int) -> None:
        self.balances = [0] * (assortment.customers + 1)
        self.heads = [START_OF_CHAIN] * (assortment.customers + 1)
        self.stock: Counter[int] = Counter()
        self.issued: Counter[int] = Counter()
        self._calendar = calendar
        self._coupons = coupons
        self._staff_id = staff_id
        self._outbox = OutboxRows(calendar.now)
        self._keeps_messages = False
        self._entries = self._movements = self._items = self._stats = self._refunds = 0
        self._sold: dict[int, Counter[int]] = defaultdict(Counter)
        self._write: Mapping[type, Callable[[Any, datetime], None]] = {
            Charge: self._charge,
            Goodwill: self._repair,
            CouponIssue: self._issue,
            Sale: self._sell,
            Return: self._take_back,
            PartRefund: self._refund,
            Restock: self._restock,
        }
        self.part = Part()
        for product_id, product in enumerate(assortment.products, start=1):
            self._move_stock(product_id, MovementReason.OPENING.value, product.opening_stock, calendar.at(0, 0.0))

    def take(self) -> Part:
        """Return the rows since the last call, and release them."""
        part, self.part = self.part, Part()
        return part

    def live(self, day: int, happenings: Sequence[Happening]) -> None:
        """Add the rows of a day. Days must be added in order."""
        self._keeps_messages = day >= DAYS - MESSAGE_DAYS
        for happening in happenings:
            self._write[type(happening)](happening, self._calendar.at(day, happening.share_of_day))
        # A day is counted when none of its orders can be cancelled any more.
        last_counted = day if day == DAYS - 1 else day - LONGEST_RETURN_DAYS
        for counted_day in sorted(sold for sold in self._sold if sold <= last_counted):
            self._count_sales(counted_day)

    def _charge(self, charge: Charge, at: datetime) -> None:
        self._move_money(charge.user_id, _CHARGE, charge.amount, at)

    def _repair(self, goodwill: Goodwill, at: datetime) -> None:
        self._move_money(goodwill.user_id, _ADJUSTMENT, goodwill.amount, at)

    def _issue(self, issue: CouponIssue, at: datetime) -> None:
        coupon = self._coupons[issue.coupon_id - 1]
        self.issued[issue.coupon_id] += 1
        row = (issue.user_coupon_id, issue.user_id, issue.coupon_id, UserCouponStatus.AVAILABLE.value, at)
        self.part.tables[UserCoupon].append((*row, coupon.valid_until))
        if self._keeps_messages:
            user_coupon = UserCoupon(
                id=issue.user_coupon_id, user_id=issue.user_id, coupon_id=issue.coupon_id, issued_at=at
            )
            self._outbox.add(coupon_issued(user_coupon), self.part.tables)

    def _sell(self, sale: Sale, at: datetime) -> None:
        returned_at = self._calendar.at(*sale.returned) if sale.returned else None
        status = _CANCELLED if returned_at else _COMPLETED
        amounts = (sale.total_amount, sale.discount_amount, sale.paid_amount)
        times = (self._calendar.dates[sale.day], at, at, returned_at)
        back = sale.part_back
        refunded = (sale.refunded_amount, back.units if back else 0)
        row = (sale.order_id, sale.user_id, status, *amounts, sale.user_coupon_id, *times, *refunded)
        self.part.tables[Order].append(row)
        for line in sale.lines:
            self._items += 1
            units_back = back.units if back and back.line is line else 0
            item = (line.product_id, line.product_name, line.unit_price, line.quantity, units_back)
            self.part.tables[OrderItem].append((self._items, sale.order_id, *item))
            self._move_stock(line.product_id, MovementReason.SALE.value, -line.quantity, at, sale.order_id)
            self._sold[sale.day][line.product_id] += line.quantity
        self._move_money(sale.user_id, _PAYMENT, -sale.paid_amount, at, sale.order_id)
        self.part.tables[ProcessedEvent].append((event_id(ORDER_COMPLETED, sale.order_id, at), at))
        if sale.user_coupon_id:
            self.part.coupon_uses[sale.user_coupon_id] = at
        if self._keeps_messages:
            self._outbox.add(order_completed(self._order(sale, _COMPLETED, None)), self.part.tables)

    def _take_back(self, entry: Return, at: datetime) -> None:
        sale = entry.sale
        for line in sale.lines:
            self._move_stock(line.product_id, MovementReason.RETURN.value, line.quantity, at, sale.order_id)
            self._sold[sale.day][line.product_id] -= line.quantity
        self._move_money(sale.user_id, _REFUND, sale.paid_amount, at, sale.order_id)
        self.part.tables[ProcessedEvent].append((event_id(ORDER_CANCELLED, sale.order_id, at), at))
        if sale.user_coupon_id:
            self.part.coupon_uses[sale.user_coupon_id] = None
        if self._keeps_messages:
            self._outbox.add(order_cancelled(self._order(sale, _CANCELLED, at)), self.part.tables)

    def _refund(self, entry: PartRefund, at: datetime) -> None:
        sale, back = entry.sale, entry.back
        self._refunds += 1
        refund_id, amount, product_id = self._refunds, sale.refunded_amount, back.line.product_id
        row = (refund_id, sale.order_id, amount, back.restock, back.reason, self._staff_id, at)
        self.part.tables[Refund].append(row)
        self.part.tables[RefundItem].append((refund_id, refund_id, product_id, back.units, amount))
        if back.restock:
            self._move_stock(
                product_id, MovementReason.RETURN.value, back.units, at, sale.order_id, refund_id=refund_id
            )
        self._sold[sale.day][product_id] -= back.units
        self._move_money(sale.user_id, _REFUND, amount, at, sale.order_id, refund_id=refund_id)
        self.part.tables[ProcessedEvent].append((event_id(ORDER_REFUNDED, refund_id, at), at))
        if self._keeps_messages:
            lines = [RefundedLine(product_id, back.units, amount)]
            refund = MadeRefund(
                refund_id, sale.order_id, amount, back.restock, back.reason, self._staff_id, at, lines, is_last=False
            )
            order = self._order(sale, _COMPLETED, None)
            order.refunded_amount, order.refunded_units = amount, back.units
            order.lines = [
                replace(line, refunded_quantity=back.units) if line is back.line else line for line in sale.lines
            ]
            self._outbox.add(order_refunded(refund, order), self.part.tables)

    def _order(self, sale: Sale, status: str, cancelled_at: datetime | None) -> Order:
        """The order at the time of its event."""
        ordered_at = self._calendar.at(sale.day, sale.share_of_day)
        order = Order(
            id=sale.order_id,
            user_id=sale.user_id,
            status=status,
            total_amount=sale.total_amount,
            discount_amount=sale.discount_amount,
            paid_amount=sale.paid_amount,
            user_coupon_id=sale.user_coupon_id,
            ordered_date=self._calendar.dates[sale.day],
            created_at=ordered_at,
            completed_at=ordered_at,
            cancelled_at=cancelled_at,
        )
        order.lines = list(sale.lines)
        return order

    def _restock(self, restock: Restock, at: datetime) -> None:
        self._move_stock(
            restock.product_id, MovementReason.ADJUSTMENT.value, restock.quantity, at, staff_id=self._staff_id
        )

    def _move_stock(
        self,
        product_id: int,
        reason: str,
        quantity: int,
        at: datetime,
        order_id: int | None = None,
        *,
        staff_id: int | None = None,
        refund_id: int | None = None,
    ) -> None:
        self._movements += 1
        self.stock[product_id] += quantity
        note = SUPPLY if staff_id else ""
        self.part.tables[StockMovement].append(
            (self._movements, product_id, reason, quantity, order_id, staff_id, note, at, refund_id)
        )

    def _move_money(
        self,
        user_id: int,
        entry_type: str,
        amount: int,
        at: datetime,
        order_id: int | None = None,
        *,
        refund_id: int | None = None,
    ) -> None:
        self._entries += 1
        balance = self.balances[user_id] = self.balances[user_id] + amount
        head = self.heads[user_id] = entry_hash(
            self.heads[user_id],
            entry_id=self._entries,
            user_id=user_id,
            entry_type=entry_type,
            amount=amount,
            balance_after=balance,
            order_id=order_id,
            created_at=at,
        )
        row = (self._entries, user_id, entry_type, amount, balance, order_id, at, head, refund_id)
        self.part.tables[LedgerEntry].append(row)
        if self._keeps_messages:
            entry = LedgerEntry(**dict(zip(COLUMNS[LedgerEntry], row, strict=True)))
            self._outbox.add(balance_changed(entry), self.part.tables)

    def _count_sales(self, day: int) -> None:
        date = self._calendar.dates[day]
        for product_id, quantity in sorted(self._sold.pop(day).items()):
            self._stats += 1
            self.part.tables[ProductStat].append((self._stats, product_id, date, quantity))
