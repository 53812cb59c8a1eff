"""Refunds in the statistics: refunded units are subtracted on the order's day, with every way of counting."""

from datetime import date, timedelta

import pytest
from django.utils import timezone
from pytest_django import Settings

from balances.models import User
from commerce.outbox.dispatcher import Dispatcher
from commerce.outbox.routes import PRODUCT_STATS
from orders.models import Order
from products.models import Product
from stats.operations import compare_day
from stats.selectors import POPULAR
from stats.services import backfill_product_stats, count_messages, forget_counted
from stats.tests.conftest import count_order_events, move_order_to_day, sent_events, sent_payloads, units_counted
from tests.books import broken_rules
from tests.factories import order_of, refunded
from tests.shopper import Shopper

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def order(user: User, pen: Product, ink: Product) -> Order:
    return order_of(user, {pen: 5, ink: 2})


def test_refunded_units_are_subtracted(order: Order, pen: Product, ink: Product) -> None:
    refunded(order, {pen: 2})
    refunded(order, {pen: 1, ink: 1}, restock=False)
    assert count_order_events(events=sent_events()) == 3
    today = order.ordered_date.isoformat()
    assert units_counted() == {(pen.pk, today): 2, (ink.pk, today): 1}
    assert count_order_events(events=sent_events()) == 0
    assert broken_rules() == set()


def test_they_count_on_the_day_of_the_order(order: Order, pen: Product, ink: Product) -> None:
    refunded(order, {pen: 2})
    move_order_to_day(order.pk, "2026-01-15")
    count_order_events(events=sent_events())
    assert units_counted() == {(pen.pk, "2026-01-15"): 3, (ink.pk, "2026-01-15"): 2}
    assert compare_day(date(2026, 1, 15)).differences == ()


def test_a_fully_refunded_order_counts_nothing(order: Order, pen: Product, ink: Product) -> None:
    refunded(order, {pen: 5, ink: 2})
    count_order_events(events=sent_events())
    assert units_counted() == {}
    assert compare_day(order.ordered_date).differences == ()
    assert broken_rules() == set()


def test_a_backfill_subtracts_refunds_and_records_their_events(order: Order, pen: Product, ink: Product) -> None:
    refunded(order, {pen: 2})
    day = order.ordered_date
    found = compare_day(day)
    assert (found.units_correct, found.events_recorded) == (5, 2)
    backfill_product_stats(from_date=day, to_date=day, dry_run=False)
    assert units_counted() == {(pen.pk, day.isoformat()): 3, (ink.pk, day.isoformat()): 2}
    # Events still in flight add nothing.
    assert count_order_events(events=sent_events()) == 0
    refunded(order, {pen: 1})
    assert count_order_events(events=sent_events()) == 1
    found = compare_day(day)
    assert (found.differences, found.events_recorded) == ((), 0)
    assert broken_rules() == set()


def test_refunds_change_the_popular_products(user: User, pen: Product, ink: Product) -> None:
    first, _second = order_of(user, {pen: 5}), order_of(user, {ink: 4})

    def popular() -> list[tuple[int, int]]:
        POPULAR.renew()
        results = Shopper().get("/api/products/popular").json["results"]
        return [(each["productId"], each["quantitySold"]) for each in results]

    count_order_events(events=sent_events())
    assert popular() == [(pen.pk, 5), (ink.pk, 4)]
    refunded(first, {pen: 2})
    count_order_events(events=sent_events())
    assert popular() == [(ink.pk, 4), (pen.pk, 3)]


def test_they_are_counted_without_kafka_too(order: Order, pen: Product, ink: Product, settings: Settings) -> None:
    settings.PRODUCT_STATS_MODE = "inline"
    other = order_of(order.user, {pen: 3})
    refunded(other, {pen: 1})
    assert Dispatcher(PRODUCT_STATS).drain().sent == 2
    assert units_counted() == {(pen.pk, other.ordered_date.isoformat()): 2}


def test_a_refund_that_is_not_in_the_database_is_left_out(order: Order, pen: Product) -> None:
    refunded(order, {pen: 1})
    [_placed, refund] = sent_payloads()
    stranger = refund.replace(b'"order-refunded:', b'"order-refunded:9')
    number = str(sent_events()[1].source_id).encode()
    stranger = stranger.replace(b'"data":{"id":' + number, b'"data":{"id":9' + number)
    counted = count_messages(payloads={"a": stranger, "b": refund})
    assert (counted.events, list(counted.left_out)) == (1, ["a"])
    assert "This database has no such fact: order-refunded:9" in counted.left_out["a"]


def test_its_row_is_deleted_only_once_it_is_counted(order: Order, pen: Product) -> None:
    refunded(order, {pen: 1})
    later = timezone.now() + timedelta(seconds=1)
    [placed, refund] = sent_events()
    count_order_events(events=[placed])
    held_up = forget_counted(before=later)
    # The order's event was counted after the refund happened, and the uncounted refund keeps all later rows.
    assert (held_up.events, held_up.held_up_at) == (0, order.refunds.get().created_at)
    assert count_order_events(events=[refund]) == 1
    assert forget_counted(before=later).events == 2
    assert count_order_events(events=[placed, refund]) == 0
    assert compare_day(order.ordered_date).events_recorded == 0
    assert broken_rules() == set()
