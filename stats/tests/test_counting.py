"""Counting events into `product_stat`: each once, however often it is received."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING

import pytest
from django.db import IntegrityError
from django.utils import timezone

from stats import operations
from stats.events import OrderEvent
from stats.models import ProcessedEvent, ProductStat
from stats.tests.conftest import (
    cancel,
    count_order_events,
    move_order_to_day,
    sent_events,
    uncommitted,
    units_counted,
)
from tests.factories import order_of
from tests.shop_state import statements
from tests.together import PATIENCE_SECONDS, meanwhile, together, wait_until_blocked

if TYPE_CHECKING:
    from balances.models import User
    from products.models import Product

pytestmark = pytest.mark.django_db(transaction=True)

DAY = date(2026, 3, 2)


def event(number: int, units: dict[Product, int], day: date = DAY, event_type: str = "order-completed") -> OrderEvent:
    units_of = {product.pk: quantity for product, quantity in units.items()}
    return OrderEvent(f"{event_type}:{number}:0", day, units_of, number)


def test_units_are_summed_per_product_and_day(pen: Product, ink: Product) -> None:
    events = [event(1, {pen: 2, ink: 1}), event(2, {pen: 3}), event(3, {pen: 5}, day=date(2026, 3, 3))]
    assert count_order_events(events=events) == 3
    assert units_counted() == {
        (pen.pk, "2026-03-02"): 5,
        (ink.pk, "2026-03-02"): 1,
        (pen.pk, "2026-03-03"): 5,
    }
    assert count_order_events(events=[event(4, {pen: 1})]) == 1
    assert units_counted()[pen.pk, "2026-03-02"] == 6


def test_an_order_and_its_cancellation_count_on_the_orders_day(user: User, pen: Product) -> None:
    order = order_of(user, {pen: 4})
    kept = order_of(user, {pen: 1})
    move_order_to_day(order.pk, "2026-01-05")
    cancel(order)
    events = sent_events()
    assert [event.event_id.rpartition(":")[0] for event in events] == [
        f"order-completed:{order.pk}",
        f"order-completed:{kept.pk}",
        f"order-cancelled:{order.pk}",
    ]
    today = timezone.localdate().isoformat()
    count_order_events(events=events[:2])
    assert units_counted() == {(pen.pk, "2026-01-05"): 4, (pen.pk, today): 1}
    count_order_events(events=events[2:])
    assert units_counted() == {(pen.pk, today): 1}


def test_a_cancellation_received_first_counts_the_same(user: User, pen: Product) -> None:
    order = order_of(user, {pen: 4})
    cancel(order)
    completed, cancelled = sent_events()
    today = timezone.localdate().isoformat()
    count_order_events(events=[cancelled])
    assert units_counted() == {(pen.pk, today): -4}
    count_order_events(events=[completed])
    assert units_counted() == {}


def repeated(pen: Product) -> None:
    events = [event(1, {pen: 2}), event(2, {pen: 3})]
    count_order_events(events=[*events, *events])
    count_order_events(events=[*events, event(3, {pen: 1})])


def test_a_repeated_event_adds_nothing(pen: Product) -> None:
    repeated(pen)
    assert units_counted() == {(pen.pk, "2026-03-02"): 6}
    assert sorted(ProcessedEvent.objects.values_list("event_id", flat=True)) == [
        "order-completed:1:0",
        "order-completed:2:0",
        "order-completed:3:0",
    ]


def test_without_processed_events_a_repeat_counts_twice(pen: Product, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(operations, "RECORD_EVENTS", "SELECT jsonb_array_elements_text(%s::jsonb)")
    repeated(pen)
    assert units_counted() == {(pen.pk, "2026-03-02"): 11}


def test_two_consumers_with_the_same_events_count_them_once(pen: Product, ink: Product) -> None:
    events = [event(number, {pen: 1, ink: 2}) for number in range(200)]
    crossed = [lambda: count_order_events(events=events), lambda: count_order_events(events=events[::-1])]
    assert sum(together(crossed * 2)) == 200
    assert units_counted() == {(pen.pk, "2026-03-02"): 200, (ink.pk, "2026-03-02"): 400}


def test_consumers_with_products_in_opposite_order_do_not_deadlock(pen: Product, ink: Product) -> None:
    def count(start: int, first: Product, second: Product) -> int:
        return sum(
            count_order_events(events=[event(number, {first: 1, second: 1}), event(number + 1, {second: 1})])
            for number in range(start, start + 60, 2)
        )

    counted = together([lambda: count(0, pen, ink), lambda: count(1_000, ink, pen), lambda: count(2_000, ink, pen)])
    assert counted == [60, 60, 60]
    assert units_counted() == {(pen.pk, "2026-03-02"): 150, (ink.pk, "2026-03-02"): 120}


def test_an_unknown_product_rolls_the_batch_back(pen: Product) -> None:
    stranger = OrderEvent("order-completed:2:0", DAY, {pen.pk + 1_000: 1}, 2)
    with pytest.raises(IntegrityError):
        count_order_events(events=[event(1, {pen: 1}), stranger])
    assert not ProductStat.objects.exists()
    assert not ProcessedEvent.objects.exists()


def test_a_batch_takes_three_statements_in_one_transaction(pen: Product, ink: Product) -> None:
    with statements() as ran:
        count_order_events(events=[event(number, {pen: 1, ink: 1}) for number in range(500)])
    assert [statement.split()[0] for statement in ran] == ["BEGIN", "SELECT", "INSERT", "INSERT", "COMMIT"]


def test_units_that_add_up_to_zero_leave_no_row(pen: Product) -> None:
    count_order_events(events=[event(1, {pen: 3}), event(1, {pen: -3}, event_type="order-cancelled")])
    assert not ProductStat.objects.exists()
    assert ProcessedEvent.objects.count() == 2


def test_counting_waits_for_a_count_of_the_same_event(pen: Product) -> None:
    events = [event(1, {pen: 2})]
    with (
        uncommitted(lambda: operations.count_orders(events)) as commit,
        meanwhile(lambda: count_order_events(events=events)) as other,
    ):
        wait_until_blocked()
        assert not other.done()
        commit()
        assert other.result(timeout=PATIENCE_SECONDS) == 0
    assert units_counted() == {(pen.pk, "2026-03-02"): 2}
