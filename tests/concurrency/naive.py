"""The steps of a write as one would write them first: look, decide, then change.

Owns the unprotected twins of the shop's statements, for tests that show what the real ones are for. A meeting between
look and change makes the race happen every time, not by luck.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from typing import Any
from unittest import mock

from balances import operations as balances_operations
from balances.errors import InsufficientBalance
from balances.models import EntryType, LedgerEntry
from commerce.core import sql
from commerce.core.transaction import Transaction
from coupons import operations as coupons_operations
from coupons.errors import CouponAlreadyIssued, CouponNotUsable, CouponSoldOut, Unusable
from coupons.models import Coupon, UserCoupon
from coupons.rules import Discount
from orders import operations as orders_operations
from orders import services as orders_services
from orders.errors import OrderNotCancellable
from orders.models import Order, OrderStatus
from products import operations as products_operations
from products.errors import OutOfStock, Shortage
from products.models import MovementReason
from products.operations import TakenLine

Meet = Callable[[], object]


@contextmanager
def _replaced(module: Any, name: str, naive: Callable[..., Any]) -> Iterator[None]:
    with mock.patch.object(module, name, naive):
        yield


def stock(meet: Meet, *, absolute: bool = False) -> Any:
    """`take_stock` without its condition and without its order of locking; `absolute` writes back what it has read
    and reckoned."""

    def take_stock(quantities: Mapping[int, int]) -> list[TakenLine]:
        lines, stocks = [], {}
        for product_id, quantity in quantities.items():
            row = sql.fetch_one("SELECT name, price, stock FROM product WHERE id = %s", [product_id])
            assert row is not None
            if row[2] < quantity:
                raise OutOfStock([Shortage(product_id, quantity, row[2])])
            lines.append(TakenLine(product_id, row[0], row[1], quantity))
            stocks[product_id] = row[2]
        meet()
        for line in lines:
            if absolute:
                left = stocks[line.product_id] - line.quantity
                sql.execute("UPDATE product SET stock = %s WHERE id = %s", [left, line.product_id])
            else:
                sql.execute("UPDATE product SET stock = stock - %s WHERE id = %s", [line.quantity, line.product_id])
        return lines

    return _replaced(orders_services, "take_stock", take_stock)


def stock_in_the_order_of_the_cart(meet: Meet) -> Any:
    """`take_stock` with its condition, but one product after the other, as the cart names them."""

    def take_stock(quantities: Mapping[int, int]) -> list[TakenLine]:
        lines = []
        for product_id, quantity in quantities.items():
            row = sql.fetch_one(
                "UPDATE product SET stock = stock - %s WHERE id = %s AND stock >= %s RETURNING name, price",
                [quantity, product_id, quantity],
            )
            assert row is not None
            lines.append(TakenLine(product_id, row[0], row[1], quantity))
            if len(lines) == 1:
                meet()
        return lines

    return _replaced(orders_services, "take_stock", take_stock)


def issue(meet: Meet, *, absolute: bool = False) -> Any:
    """`issue` that counts first and writes then; `absolute` writes back what it has counted."""

    def issue_one(*, user_id: int, coupon_id: int, now: datetime) -> UserCoupon:
        coupon = Coupon.objects.get(id=coupon_id)
        if UserCoupon.objects.filter(user_id=user_id, coupon_id=coupon_id).exists():
            raise CouponAlreadyIssued
        if coupon.issued_count >= coupon.total_quantity:
            raise CouponSoldOut
        meet()
        unit = UserCoupon(user_id=user_id, coupon=coupon, issued_at=now, expires_at=coupon.valid_until)
        unit.save()
        if absolute:
            sql.execute("UPDATE coupon SET issued_count = %s WHERE id = %s", [coupon.issued_count + 1, coupon_id])
        else:
            sql.execute("UPDATE coupon SET issued_count = issued_count + 1 WHERE id = %s", [coupon_id])
        return unit

    return _replaced(coupons_operations, "issue", issue_one)


def money(meet: Meet, *, absolute: bool = False) -> Any:
    """`_move` that reads the balance and then changes it; `absolute` writes back what it has read and reckoned."""

    def move(
        unit: Transaction,
        entry_type: EntryType,
        user_id: int,
        amount: int,
        now: datetime,
        *,
        order_id: int | None = None,
        ceiling: int = 0,
    ) -> LedgerEntry:
        row = sql.fetch_one(
            """SELECT balance, ledger_head, nextval('user_balance_tx_id_seq') FROM "user" WHERE id = %s""", [user_id]
        )
        assert row is not None
        balance, head, entry_id = row
        if balance + amount < 0:
            raise InsufficientBalance(balance=balance, required=-amount)
        meet()
        entry = LedgerEntry(
            id=entry_id,
            user_id=user_id,
            type=entry_type,
            amount=amount,
            balance_after=balance + amount,
            order_id=order_id,
            created_at=now,
        )
        entry.entry_hash = entry.hash_after(head)
        if absolute:
            sql.execute('UPDATE "user" SET balance = %s WHERE id = %s', [balance + amount, user_id])
        else:
            sql.execute('UPDATE "user" SET balance = balance + %s WHERE id = %s', [amount, user_id])
        sql.execute('UPDATE "user" SET ledger_head = %s WHERE id = %s', [entry.entry_hash, user_id])
        entry.save(force_insert=True)
        return entry

    return _replaced(balances_operations, "_move", move)


def adjustment(meet: Meet) -> Any:
    """`adjust_stock` that writes back what it has read and reckoned."""

    def adjust_stock(unit: Transaction, *, product_id: int, delta: int, actor_id: int, note: str, now: datetime) -> int:
        row = sql.fetch_one("SELECT stock FROM product WHERE id = %s", [product_id])
        assert row is not None
        meet()
        sql.execute("UPDATE product SET stock = %s WHERE id = %s", [row[0] + delta, product_id])
        adjustment = (product_id, MovementReason.ADJUSTMENT.value, delta, actor_id, note, now)
        unit.append(products_operations.INSERT_ADJUSTMENT, adjustment)
        return int(row[0]) + delta

    return _replaced(products_operations, "adjust_stock", adjust_stock)


def coupon_use(meet: Meet) -> Any:
    """`redeem` that looks at the coupon and then marks it."""

    def redeem(*, user_id: int, user_coupon_id: int, total_amount: int, now: datetime) -> Discount:
        unit = UserCoupon.objects.select_related("coupon").get(id=user_coupon_id, user_id=user_id)
        if unit.status != "AVAILABLE":
            raise CouponNotUsable(Unusable.USED)
        meet()
        UserCoupon.objects.filter(id=user_coupon_id).update(status="USED", used_at=now)
        return Discount(unit.coupon.discount_type, unit.coupon.discount_value, unit.coupon.max_discount)

    return _replaced(orders_services, "redeem", redeem)


def cancel(meet: Meet) -> Any:
    """`cancel_order` that looks at the status and then changes it."""

    def cancel_order(order: Order, *, now: datetime) -> None:
        if Order.objects.values_list("status", flat=True).get(id=order.id) != "COMPLETED":
            raise OrderNotCancellable(order.id, OrderStatus.CANCELLED.value)
        meet()
        Order.objects.filter(id=order.id).update(status="CANCELLED", cancelled_at=now)
        order.status = OrderStatus.CANCELLED
        order.cancelled_at = now

    return _replaced(orders_operations, "cancel_order", cancel_order)
