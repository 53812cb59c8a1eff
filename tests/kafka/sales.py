"""Hundreds of orders with their events, and the statistics expected from them."""

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from itertools import count
from zoneinfo import ZoneInfo

from django.utils import timezone

from balances.models import User
from commerce.core import sql
from commerce.outbox.models import OutboxMessage
from commerce.outbox.publish import Event
from commerce.outbox.routes import KAFKA
from orders.events import order_cancelled, order_completed
from orders.models import Order, OrderItem
from orders.rules import Line
from products.models import Product
from stats.models import ProductStat
from stats.operations import DayComparison
from stats.services import backfill_product_stats

FIRST_ORDER_AT = datetime(2026, 3, 1, 12, tzinfo=ZoneInfo("Asia/Seoul"))
CANCELLED_EVERY = 5
_CHUNK = 2_000
_numbers = count()

UNITS_OF_ORDERS = """
    SELECT product_id, ordered_date::text, sum(quantity)::bigint
    FROM order_item JOIN "order" ON "order".id = order_id
    WHERE status = 'COMPLETED'
    GROUP BY product_id, ordered_date
"""


def sell(orders: int, *, users: Sequence[User], products: Sequence[Product]) -> int:
    """Place `orders` orders of one or two products and cancel every fifth; returns the number of their events.

    The orders are five minutes apart, so that they cross midnight in the shop's time zone and in UTC.
    """
    events: list[Event] = []
    for start in range(0, orders, _CHUNK):
        events += _sell_some([next(_numbers) for _ in range(min(_CHUNK, orders - start))], users, products)
    OutboxMessage.objects.bulk_create([_message(event) for event in events], batch_size=_CHUNK)
    return len(events)


def units_of_orders() -> dict[tuple[int, str], int]:
    """Units sold by product id and day, added up from the orders."""
    return {(product_id, day): units for product_id, day, units in sql.fetch_all(UNITS_OF_ORDERS)}


def units_counted() -> dict[tuple[int, str], int]:
    """Units by product id and day in `product_stat`; rows with 0 are left out."""
    rows = ProductStat.objects.exclude(quantity_sold=0).values_list("product_id", "date", "quantity_sold")
    return {(product_id, day.isoformat()): units for product_id, day, units in rows}


def assert_exact() -> None:
    """The statistics match the orders, and a backfill finds neither differences nor uncounted events."""
    assert units_counted() == units_of_orders()
    ordered = Order.objects.order_by("ordered_date").values_list("ordered_date", flat=True)
    first, last = ordered.first(), ordered.last()
    assert first is not None
    assert last is not None
    days: list[date] = []

    def nothing_to_correct(day: date, comparison: DayComparison) -> None:
        assert (comparison.differences, comparison.events_recorded) == ((), 0)
        days.append(day)

    backfill_product_stats(from_date=first, to_date=last, dry_run=True, on_day=nothing_to_correct)
    assert (days[0], days[-1]) == (first, last)


def _sell_some(numbers: Sequence[int], users: Sequence[User], products: Sequence[Product]) -> list[Event]:
    lines = {number: _lines(number, products) for number in numbers}
    orders = Order.objects.bulk_create([_order(number, users, lines[number]) for number in numbers])
    OrderItem.objects.bulk_create(
        [
            OrderItem(
                order=order,
                product_id=line.product_id,
                product_name=line.product_name,
                unit_price=line.unit_price,
                quantity=line.quantity,
            )
            for number, order in zip(numbers, orders, strict=True)
            for line in lines[number]
        ]
    )
    events = []
    for number, order in zip(numbers, orders, strict=True):
        order.lines = lines[number]
        events.append(order_completed(order))
        if order.cancelled_at is not None:
            events.append(order_cancelled(order))
    return events


def _lines(number: int, products: Sequence[Product]) -> list[Line]:
    chosen = [products[(number + step) % len(products)] for step in range(1 + number % 2)]
    return [
        Line(product_id=each.pk, product_name=each.name, unit_price=each.price, quantity=1 + number % 3)
        for each in chosen
    ]


def _order(number: int, users: Sequence[User], lines: Sequence[Line]) -> Order:
    created_at = FIRST_ORDER_AT + timedelta(minutes=5 * number)
    cancelled = number % CANCELLED_EVERY == 0
    total = sum(line.subtotal for line in lines)
    return Order(
        user=users[number % len(users)],
        status="CANCELLED" if cancelled else "COMPLETED",
        total_amount=total,
        discount_amount=0,
        paid_amount=total,
        ordered_date=timezone.localdate(created_at),
        created_at=created_at,
        completed_at=created_at,
        # Cancelled a day later, but counted on the day of the order.
        cancelled_at=created_at + timedelta(days=1) if cancelled else None,
    )


def _message(event: Event) -> OutboxMessage:
    return OutboxMessage(
        event_id=event.id,
        type=event.type,
        aggregate_type=event.aggregate_type,
        aggregate_id=str(event.user_id),
        destination=KAFKA,
        payload=event.as_cloud_event().decode(),
    )
