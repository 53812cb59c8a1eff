"""After a restore the database assigns the same ids again, which other systems have stored already."""

from collections.abc import Callable, Iterator

import pytest
from django.db import connection
from django.utils import timezone

from balances.models import User
from commerce.core import sql
from commerce.outbox.models import OutboxMessage
from commerce.outbox.routes import KAFKA
from orders.models import Order
from products.models import Product
from stats.models import ProductStat
from stats.services import backfill_product_stats, count_messages
from tests.factories import CouponFactory, ProductFactory, UserFactory, issued, order_of

pytestmark = pytest.mark.django_db(transaction=True)

_TABLES = (
    *("user", "product", "coupon", "user_coupon", "order", "order_item", "user_balance_tx", "stock_movement"),
    *("outbox_message", "processed_event", "product_stat"),
)


@pytest.fixture
def restore() -> Iterator[Callable[[], None]]:
    """Restores tables and sequences to their state at the call of the fixture's `backup`."""
    used = "SELECT sequencename, coalesce(last_value, 1), last_value IS NOT NULL FROM pg_sequences"
    numbers = sql.fetch_all(used, [])
    for table in _TABLES:
        sql.execute(f'CREATE TEMPORARY TABLE "backup_{table}" AS TABLE "{table}"')  # our own names

    def put_back() -> None:
        sql.execute("SET session_replication_role = replica")
        try:
            for table in reversed(_TABLES):
                sql.execute(f'DELETE FROM "{table}"')  # noqa: S608  # our own names
            for table in _TABLES:
                sql.execute(f'INSERT INTO "{table}" SELECT * FROM "backup_{table}"')  # noqa: S608  # the same
            for sequence, number, is_used in numbers:
                sql.fetch_one("SELECT setval(%s::regclass, %s, %s)", [f'"{sequence}"', number, is_used])
        finally:
            sql.execute("SET session_replication_role = DEFAULT")

    yield put_back
    for table in _TABLES:
        sql.execute(f'DROP TABLE "backup_{table}"')
    connection.close()


@pytest.fixture
def user() -> User:
    return UserFactory(balance=100_000)


@pytest.fixture
def pen() -> Product:
    return ProductFactory(price=1_000, stock=100)


def payloads_sent() -> dict[str, bytes]:
    """The payloads of messages to Kafka, by event id."""
    return {each.event_id: each.payload.encode() for each in OutboxMessage.objects.filter(destination=KAFKA)}


def lose_an_order(user: User, pen: Product, restore: Callable[[], None]) -> tuple[Order, dict[str, bytes]]:
    """Place an order that is not in the backup; returns its event."""
    before = payloads_sent()
    lost = order_of(user, {pen: 5})
    events = {each: payload for each, payload in payloads_sent().items() if each not in before}
    restore()
    return lost, events


def test_no_event_id_names_two_facts(user: User, pen: Product, restore: Callable[[], None]) -> None:
    lost, events = lose_an_order(user, pen, restore)
    placed = order_of(User.objects.get(pk=user.pk), {pen: 1})
    assert placed.pk == lost.pk, "the restore gave the number again"
    issued(user, CouponFactory())
    assert not events.keys() & payloads_sent().keys()


def test_events_of_lost_orders_in_kafka_are_not_counted(user: User, pen: Product, restore: Callable[[], None]) -> None:
    _, events = lose_an_order(user, pen, restore)
    order_of(User.objects.get(pk=user.pk), {pen: 1})
    payloads = {**events, **payloads_sent()}
    counted = count_messages(payloads={each: body for each, body in payloads.items() if each.startswith("order-")})
    [(lost, reason)] = counted.left_out.items()
    assert (counted.events, reason) == (1, f"This database has no such fact: {lost}")
    assert list(ProductStat.objects.values_list("product_id", "quantity_sold")) == [(pen.pk, 1)]
    today = timezone.localdate()
    found = []
    backfill_product_stats(from_date=today, to_date=today, dry_run=True, on_day=lambda _day, day: found.append(day))
    assert [(day.differences, day.events_recorded) for day in found] == [((), 0)]
