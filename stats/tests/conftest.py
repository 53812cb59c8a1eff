"""Fixtures and helpers of the statistics' tests: a customer, products, and the events of orders."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import TYPE_CHECKING

import pytest
from django.conf import settings as configured
from django.db import connection, transaction
from pytest_django import Settings

from commerce.core import sql
from commerce.outbox.models import OutboxMessage
from commerce.outbox.publish import event_id
from commerce.outbox.routes import KAFKA
from commerce.outbox.sinks import kafka_source
from commerce.outbox.sinks.base import Message, sink_of
from commerce.outbox.sinks.kafka_source import KafkaSource, Received
from stats import operations
from stats.events import ORDER_EVENTS, OrderEvent, read_order_event
from stats.models import ProductStat
from tests.factories import ProductFactory, UserFactory
from tests.shopper import Shopper
from tests.together import PATIENCE_SECONDS, meanwhile, wait_until

if TYPE_CHECKING:
    from balances.models import User
    from orders.models import Order
    from products.models import Product


@pytest.fixture
def own_topics(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """Own topics and an own consumer group for each test.

    The test broker makes a consumer that follows another one wait for almost the session timeout.
    """
    monkeypatch.setattr(kafka_source, "SESSION_MS", 3_000)
    settings.KAFKA_TOPIC_PREFIX = f"{uuid.uuid4().hex[:8]}-"
    settings.KAFKA_CONSUMER_GROUP = f"{uuid.uuid4().hex[:8]}"


@pytest.fixture
def user() -> User:
    return UserFactory(balance=100_000_000)


@pytest.fixture
def pen() -> Product:
    return ProductFactory(name="Pen", price=1_000, stock=1_000)


@pytest.fixture
def ink() -> Product:
    return ProductFactory(name="Ink", price=2_000, stock=1_000)


def sent_payloads() -> list[bytes]:
    """The order events as the outbox sends them to Kafka, oldest first."""
    messages = OutboxMessage.objects.filter(destination=KAFKA, type__in=ORDER_EVENTS).order_by("id")
    return [payload.encode() for payload in messages.values_list("payload", flat=True)]


def cancel(order: Order) -> None:
    """Cancel the order as its customer."""
    assert Shopper(order.user).post(f"/api/orders/{order.pk}/cancel").status == 200


def sent_events() -> list[OrderEvent]:
    return [read_order_event(payload) for payload in sent_payloads()]


def count_order_events(*, events: Sequence[OrderEvent]) -> int:
    """Count all events or none, in a transaction; returns how many had not been counted before."""
    with transaction.atomic(durable=True):
        return operations.count_orders(events)


def units_counted() -> dict[tuple[int, str], int]:
    """Units by (product id, day) in `product_stat`; rows with 0 are left out."""
    rows = ProductStat.objects.exclude(quantity_sold=0).values_list("product_id", "date", "quantity_sold")
    return {(product_id, day.isoformat()): units for product_id, day, units in rows}


@contextmanager
def uncommitted(action: Callable[[], object]) -> Iterator[Callable[[], None]]:
    """Run `action` in an open transaction on another connection; yields a function that commits it."""
    done, commit = threading.Event(), threading.Event()

    def hold() -> None:
        with transaction.atomic():
            action()
            done.set()
            assert commit.wait(timeout=PATIENCE_SECONDS)

    with meanwhile(hold) as held:

        def committed() -> None:
            commit.set()
            held.result(timeout=PATIENCE_SECONDS)

        try:
            assert done.wait(timeout=PATIENCE_SECONDS)
            yield committed
        finally:
            commit.set()


def send(*payloads: bytes, event_type: str = "order-completed", key: str = "1") -> None:
    """Send messages to Kafka as the outbox does."""
    messages = [Message(number, str(number), event_type, key, payload, 0) for number, payload in enumerate(payloads)]
    assert set(sink_of(KAFKA).deliver(messages).values()) == {None}


@contextmanager
def source() -> Iterator[KafkaSource]:
    made = KafkaSource(group=configured.KAFKA_CONSUMER_GROUP, event_types=ORDER_EVENTS)
    try:
        yield made
    finally:
        made.close()


def take(made: KafkaSource, count: int) -> list[Received]:
    """The next `count` messages."""
    taken: list[Received] = []

    def enough() -> bool:
        taken.extend(made.take(limit=count - len(taken), wait_seconds=0.2))
        return len(taken) >= count

    wait_until(enough, f"{count} messages")
    return taken


@contextmanager
def no_new_connections() -> Iterator[None]:
    """New connections to the database are refused."""
    port = connection.settings_dict["PORT"]
    connection.settings_dict["PORT"] = "1"
    try:
        yield
    finally:
        connection.settings_dict["PORT"] = port


def move_order_to_day(order_id: int, day: str) -> None:
    """Change the order and its unsent event to noon of another day."""
    placed_at = f"{day}T12:00:00+09:00"
    sql.execute(
        'UPDATE "order" SET ordered_date = %s::date, created_at = %s::timestamptz WHERE id = %s',
        [day, placed_at, order_id],
    )
    sql.execute(
        "UPDATE outbox_message SET payload ="
        " jsonb_set(payload::jsonb, '{data,createdAt}', to_jsonb(%s::text))::text"
        " WHERE event_id LIKE ANY(%s)",
        [placed_at, [f"order-completed:{order_id}:%", f"order-cancelled:{order_id}:%"]],
    )
    sql.execute(
        "UPDATE outbox_message SET payload ="
        " jsonb_set(payload::jsonb, '{data,order,createdAt}', to_jsonb(%s::text))::text"
        " WHERE type = 'order-refunded' AND payload::jsonb -> 'data' -> 'orderId' = to_jsonb(%s)",
        [placed_at, order_id],
    )
    full_id = event_id("order-completed", order_id, datetime.fromisoformat(placed_at))
    sql.execute(
        "UPDATE outbox_message SET event_id = %s, payload = jsonb_set(payload::jsonb, '{id}', to_jsonb(%s::text))::text"
        " WHERE event_id LIKE %s",
        [full_id, full_id, f"order-completed:{order_id}:%"],
    )
