"""The demo shop as database rows, dated relative to the time of loading.

Each balance, stock and count is consistent with its history. Writes nothing.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from functools import partial

from django.contrib.auth.hashers import make_password
from django.utils import timezone

from balances.models import EntryType, LedgerEntry, User
from commerce.demo.catalogue import COUPONS, INACTIVE_ID, PRODUCTS, SOLD_OUT_ID, DemoCoupon
from commerce.demo.dates import Calendar
from commerce.demo.week import CUSTOMERS, DAYS, Charge, PartBack, Plan, Purchase
from commerce.outbox.publish import event_id
from coupons.models import Coupon, UserCoupon, UserCouponStatus
from orders.events import ORDER_REFUNDED, order_cancelled, order_completed
from orders.models import Order, OrderItem, OrderStatus, Refund, RefundItem
from orders.rules import OrderState, ReturnableItem
from products.models import MovementReason, Product, StockMovement
from stats.models import ProcessedEvent, ProductStat

CUSTOMER_PASSWORD = "customer"  # noqa: S105  # the demo's documented login
ADMIN_PASSWORD = "admin"  # noqa: S105  # the demo's documented login
ADMIN_ID = CUSTOMERS + 1
SHOP_OPENED_DAYS_AGO = 90

FAMILY_NAMES = ("김", "이", "박", "최", "정", "강", "조", "윤", "장", "임")
GIVEN_NAMES = ("서연", "민준", "지우", "서준", "하은", "도윤", "수아", "시우", "지민", "예준", "은서")


@dataclass
class Rows:
    """The rows to insert, by table. Every row has its id."""

    users: list[User] = field(default_factory=list)
    products: list[Product] = field(default_factory=list)
    coupons: list[Coupon] = field(default_factory=list)
    user_coupons: list[UserCoupon] = field(default_factory=list)
    orders: list[Order] = field(default_factory=list)
    items: list[OrderItem] = field(default_factory=list)
    refunds: list[Refund] = field(default_factory=list)
    refund_items: list[RefundItem] = field(default_factory=list)
    ledger: list[LedgerEntry] = field(default_factory=list)
    movements: list[StockMovement] = field(default_factory=list)
    stats: list[ProductStat] = field(default_factory=list)
    processed_events: list[ProcessedEvent] = field(default_factory=list)


def rows_of(plan: Plan, now: datetime) -> Rows:
    """The whole demo shop at the time `now`."""
    rows = Rows()
    rows.users = list(_users(now))
    rows.products = list(_products(plan))
    rows.coupons = list(_coupons(plan, now))
    rows.user_coupons = list(_user_coupons(plan, rows.coupons, now))
    _open_books(rows, plan, now)
    _live_the_week(rows, plan, now)
    _count_sales(rows)
    return rows


def _users(now: datetime) -> Iterator[User]:
    yield from customers({number: _joined(number, now) for number in range(1, CUSTOMERS + 1)})
    yield admin(ADMIN_ID, joined_at=_shop_opened(now))


def customers(joined_at: Mapping[int, datetime]) -> Iterator[User]:
    """The accounts of customers, by id. All have the demo's password."""
    # One hash for all: a thousand hashes would take minutes, and these accounts need no protection.
    password = make_password(CUSTOMER_PASSWORD)
    for number, moment in joined_at.items():
        yield User(
            id=number,
            username=f"customer{number}",
            email=f"customer{number}@example.com",
            last_name=FAMILY_NAMES[number % len(FAMILY_NAMES)],
            first_name=GIVEN_NAMES[number % len(GIVEN_NAMES)],
            password=password,
            date_joined=moment,
        )


def admin(user_id: int, *, joined_at: datetime) -> User:
    """The superuser."""
    return User(
        id=user_id,
        username="admin",
        email="admin@example.com",
        password=make_password(ADMIN_PASSWORD),
        is_staff=True,
        is_superuser=True,
        date_joined=joined_at,
    )


def _products(plan: Plan) -> Iterator[Product]:
    sold_out = sum(_units(purchase).get(SOLD_OUT_ID, 0) for purchase in plan.purchases)
    for number, product in enumerate(PRODUCTS, start=1):
        yield Product(
            id=number,
            name=product.name,
            description=product.description,
            price=product.price,
            stock=sold_out if number == SOLD_OUT_ID else product.opening_stock,
            is_active=number != INACTIVE_ID,
            purchase_limit=product.purchase_limit,
        )


def _coupons(plan: Plan, now: datetime) -> Iterator[Coupon]:
    for number, coupon in enumerate(COUPONS, start=1):
        yield coupon_of(coupon, number, issued=len(plan.holders.get(number, ())), now=now)


def coupon_of(coupon: DemoCoupon, coupon_id: int, *, issued: int, now: datetime) -> Coupon:
    """A coupon, relative to the time of loading `now`."""
    return Coupon(
        id=coupon_id,
        name=coupon.name,
        discount_type=coupon.discount_type,
        discount_value=coupon.discount_value,
        max_discount=coupon.max_discount,
        min_order_amount=coupon.min_order_amount,
        total_quantity=coupon.total_quantity,
        issued_count=issued,
        issue_starts_at=now + timedelta(days=coupon.starts_in_days),
        issue_ends_at=now + timedelta(days=coupon.ends_in_days),
        valid_until=now + timedelta(days=coupon.valid_for_days),
    )


def _user_coupons(plan: Plan, coupons: list[Coupon], now: datetime) -> Iterator[UserCoupon]:
    """All were issued before the week, evenly over the part of their period that is before it."""
    issued = []
    for coupon in coupons:
        holders = plan.holders.get(coupon.id, [])
        for position, user_id in enumerate(holders):
            before_the_week = now - timedelta(days=DAYS) - coupon.issue_starts_at
            issued_at = coupon.issue_starts_at + before_the_week * position / len(holders)
            issued.append((issued_at, coupon, user_id))
    issued.sort(key=lambda entry: (entry[0], entry[1].id))
    for number, (issued_at, coupon, user_id) in enumerate(issued, start=1):
        yield UserCoupon(id=number, user_id=user_id, coupon=coupon, issued_at=issued_at, expires_at=coupon.valid_until)


def _open_books(rows: Rows, plan: Plan, now: datetime) -> None:
    """Set the initial stock, and charge every account once."""
    for product in rows.products:
        rows.movements.append(
            StockMovement(
                id=product.id,
                product=product,
                reason=MovementReason.OPENING,
                quantity=product.stock,
                created_at=_shop_opened(now),
            )
        )
    for user_id, amount in sorted(plan.opening_balances.items()):
        _move_money(rows, user_id, EntryType.CHARGE, amount, at=_joined(user_id, now) + timedelta(minutes=5))


def _live_the_week(rows: Rows, plan: Plan, now: datetime) -> None:
    wallet = {(held.user_id, held.coupon_id): held for held in rows.user_coupons}
    happenings: list[tuple[datetime, Callable[[], None]]] = []
    calendar = Calendar(DAYS, now)
    for visit in plan.visits:
        at = calendar.at(visit.day, visit.share_of_day)
        if isinstance(visit, Charge):
            charge = partial(_move_money, rows, visit.user_id, EntryType.CHARGE, visit.amount, at=at)
            happenings.append((at, charge))
            continue
        user_coupon = wallet[visit.user_id, visit.coupon_id] if visit.coupon_id else None
        order = _order(len(rows.orders) + 1, visit, at, now, user_coupon)
        rows.orders.append(order)
        items = list(_items(order, visit, first_id=len(rows.items) + 1))
        rows.items += items
        happenings.append((at, partial(_pay, rows, order, _units(visit))))
        if visit.part_back:
            later = at + min(timedelta(minutes=visit.part_back.after_minutes), (now - at) * 0.9)
            happenings.append((later, partial(_refund, rows, order, items, visit.part_back, later)))
        if order.cancelled_at:
            happenings.append((order.cancelled_at, partial(_give_back, rows, order, _units(visit), order.cancelled_at)))
        elif user_coupon:
            user_coupon.status = UserCouponStatus.USED
            user_coupon.used_at = at
    # A stable sort: an order precedes its cancellation even if both have the same time.
    for _, happen in sorted(happenings, key=lambda happening: happening[0]):
        happen()


def _order(order_id: int, visit: Purchase, at: datetime, now: datetime, user_coupon: UserCoupon | None) -> Order:
    cancelled_at = None
    if visit.cancelled_after_minutes:
        cancelled_at = at + min(timedelta(minutes=visit.cancelled_after_minutes), (now - at) * 0.9)
    return Order(
        id=order_id,
        user_id=visit.user_id,
        status=OrderStatus.CANCELLED if cancelled_at else OrderStatus.COMPLETED,
        total_amount=visit.total_amount,
        discount_amount=visit.discount_amount,
        paid_amount=visit.paid_amount,
        user_coupon=user_coupon,
        ordered_date=timezone.localdate(at),
        created_at=at,
        completed_at=at,
        cancelled_at=cancelled_at,
    )


def _items(order: Order, visit: Purchase, *, first_id: int) -> Iterator[OrderItem]:
    for number, line in enumerate(visit.lines, start=first_id):
        yield OrderItem(
            id=number,
            order=order,
            product_id=line.product_id,
            product_name=line.product_name,
            unit_price=line.unit_price,
            quantity=line.quantity,
        )


def _pay(rows: Rows, order: Order, units: dict[int, int]) -> None:
    _move_money(rows, order.user_id, EntryType.PAYMENT, -order.paid_amount, order_id=order.id, at=order.created_at)
    for product_id, quantity in units.items():
        _move_stock(rows, product_id, MovementReason.SALE, -quantity, order_id=order.id, at=order.created_at)
    rows.processed_events.append(ProcessedEvent(event_id=order_completed(order).id, processed_at=order.created_at))


def _give_back(rows: Rows, order: Order, units: dict[int, int], at: datetime) -> None:
    _move_money(rows, order.user_id, EntryType.REFUND, order.paid_amount, order_id=order.id, at=at)
    for product_id, quantity in units.items():
        _move_stock(rows, product_id, MovementReason.RETURN, quantity, order_id=order.id, at=at)
    rows.processed_events.append(ProcessedEvent(event_id=order_cancelled(order).id, processed_at=at))


def _refund(rows: Rows, order: Order, items: list[OrderItem], back: PartBack, at: datetime) -> None:
    refund_id = len(rows.refunds) + 1
    state = OrderState(
        order.id, order.status, None, order.total_amount, order.paid_amount, order.refunded_amount, order.refunded_units
    )
    returnable = [ReturnableItem(item.id, item.product_id, item.unit_price, item.quantity, 0) for item in items]
    lines = state.refund(returnable, back.quantities)
    order.status, order.refunded_amount, order.refunded_units = (
        OrderStatus(state.status),
        state.refunded_amount,
        state.refunded_units,
    )
    for item, returned in zip(items, returnable, strict=True):
        item.refunded_quantity = returned.refunded_quantity
    amount = sum(line.amount for line in lines)
    rows.refunds.append(
        Refund(
            id=refund_id,
            order=order,
            amount=amount,
            restock=back.restock,
            reason=back.reason,
            staff_id=ADMIN_ID,
            created_at=at,
        )
    )
    for line in lines:
        number = len(rows.refund_items) + 1
        rows.refund_items.append(
            RefundItem(
                id=number, refund_id=refund_id, product_id=line.product_id, quantity=line.quantity, amount=line.amount
            )
        )
        if back.restock:
            _move_stock(
                rows,
                line.product_id,
                MovementReason.RETURN,
                line.quantity,
                order_id=order.id,
                refund_id=refund_id,
                at=at,
            )
    _move_money(rows, order.user_id, EntryType.REFUND, amount, order_id=order.id, refund_id=refund_id, at=at)
    rows.processed_events.append(ProcessedEvent(event_id=event_id(ORDER_REFUNDED, refund_id, at), processed_at=at))


def _move_stock(
    rows: Rows,
    product_id: int,
    reason: MovementReason,
    quantity: int,
    *,
    order_id: int,
    at: datetime,
    refund_id: int | None = None,
) -> None:
    rows.products[product_id - 1].stock += quantity
    rows.movements.append(
        StockMovement(
            id=len(rows.movements) + 1,
            product_id=product_id,
            reason=reason,
            quantity=quantity,
            order_id=order_id,
            refund_id=refund_id,
            created_at=at,
        )
    )


def _move_money(
    rows: Rows,
    user_id: int,
    entry_type: EntryType,
    amount: int,
    *,
    at: datetime,
    order_id: int | None = None,
    refund_id: int | None = None,
) -> None:
    user = rows.users[user_id - 1]
    user.balance += amount
    entry = LedgerEntry(
        id=len(rows.ledger) + 1,
        user=user,
        type=entry_type,
        amount=amount,
        balance_after=user.balance,
        order_id=order_id,
        refund_id=refund_id,
        created_at=at,
    )
    entry.entry_hash = user.ledger_head = entry.hash_after(user.ledger_head)
    rows.ledger.append(entry)


def _count_sales(rows: Rows) -> None:
    """The statistics as the consumer would have counted them.

    Cancelled and refunded units are subtracted from the day of their order.
    """
    day_of = {order.id: (order.ordered_date, order.status) for order in rows.orders}
    sold: Counter[tuple[date, int]] = Counter()
    for item in rows.items:
        day, status = day_of[item.order_id]
        if status != OrderStatus.CANCELLED:
            sold[day, item.product_id] += item.quantity - item.refunded_quantity
    for number, ((day, product_id), quantity) in enumerate(sorted(sold.items()), start=1):
        rows.stats.append(ProductStat(id=number, product_id=product_id, date=day, quantity_sold=quantity))


def _units(visit: Purchase) -> dict[int, int]:
    return {line.product_id: line.quantity for line in visit.lines}


def _joined(user_id: int, now: datetime) -> datetime:
    """Customers joined one after the other; the last one two weeks ago."""
    return _shop_opened(now) + timedelta(days=SHOP_OPENED_DAYS_AGO - 14) * (user_id / CUSTOMERS)


def _shop_opened(now: datetime) -> datetime:
    return now - timedelta(days=SHOP_OPENED_DAYS_AGO)
