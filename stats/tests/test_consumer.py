"""From Kafka to `product_stat`: the consumer's loop, restarts, and invalid messages."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from threading import Event
from typing import TYPE_CHECKING

import pytest
from django.conf import settings as configured
from django.db import connection
from django.utils import timezone
from pytest_django import Settings

from commerce.core import metrics, sql
from commerce.outbox.dispatcher import Dispatcher, Drained
from commerce.outbox.models import OutboxMessage
from commerce.outbox.routes import KAFKA, PRODUCT_STATS
from commerce.outbox.sinks.kafka_source import Received
from orders.events import order_completed
from stats import consumers
from stats.models import ProcessedEvent
from stats.services import Counted, backfill_product_stats
from stats.tests.conftest import cancel, no_new_connections, send, sent_payloads, source, take, units_counted
from tests.factories import order_of
from tests.outbox.manage import call, managed
from tests.shop_state import nothing_changes
from tests.together import PATIENCE_SECONDS, meanwhile, wait_until

if TYPE_CHECKING:
    from balances.models import User
    from products.models import Product

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("own_topics")]


@contextmanager
def consuming() -> Iterator[None]:
    """Run the consumer in a thread."""
    stopping = Event()
    with source() as made, meanwhile(lambda: consumers.consume_orders(made, stopping=stopping)) as loop:
        try:
            yield
        finally:
            stopping.set()
            loop.result(timeout=PATIENCE_SECONDS)


def as_batch(payloads: Sequence[bytes]) -> list[Received]:
    return [Received("order-completed", 0, offset, payload) for offset, payload in enumerate(payloads)]


def test_kafka_counts_orders_once_and_like_the_backfill(user: User, pen: Product, ink: Product) -> None:
    today = timezone.localdate()
    with consuming():
        orders = [order_of(user, {pen: 2, ink: 1}) for _ in range(3)]
        cancel(orders[0])
        assert Dispatcher(KAFKA).drain().failed == 0
        expected = {(pen.pk, today.isoformat()): 4, (ink.pk, today.isoformat()): 2}
        wait_until(lambda: ProcessedEvent.objects.count() == 4 and units_counted() == expected, "four counted events")
        send(*sent_payloads())
        order_of(user, {ink: 5})
        assert Dispatcher(KAFKA).drain().failed == 0
        expected[ink.pk, today.isoformat()] = 7
        wait_until(lambda: ProcessedEvent.objects.count() == 5, "the fifth event, after four repeats")
    assert units_counted() == expected
    with nothing_changes():
        backfill_product_stats(from_date=today, to_date=today, dry_run=False)


def test_an_unreadable_message_does_not_stop_the_others(
    user: User, pen: Product, caplog: pytest.LogCaptureFixture
) -> None:
    unreadable = metrics.STATS_EVENTS.labels("left_out")._value
    before = unreadable.get()
    order_of(user, {pen: 1})
    last = order_of(user, {pen: 2})
    order_of(user, {pen: 4})
    *good, stranger = sent_payloads()
    stranger = stranger.replace(f'"productId":{pen.pk},'.encode(), b'"productId":999999999,')
    assert b"999999999" in stranger
    with consuming():
        send(good[0], b"\xffnot json", b"", b'{"type": "order-completed"}', stranger, good[1])
        wait_until(lambda: ProcessedEvent.objects.count() == 2, "the two good ones")
        wait_until(lambda: unreadable.get() == before + 4, "the four others")
    assert units_counted() == {(pen.pk, timezone.localdate().isoformat()): 3}
    assert ProcessedEvent.objects.filter(event_id=order_completed(last).id).exists()
    complaints = [record.getMessage() for record in caplog.records if "cannot be counted" in record.getMessage()]
    assert len(complaints) == 4
    topic = f"{configured.KAFKA_TOPIC_PREFIX}order-completed["
    assert all(complaint.startswith(topic) and "]@" in complaint for complaint in complaints)


def test_a_crash_before_the_offset_commit_counts_nothing_twice(user: User, pen: Product) -> None:
    for _ in range(4):
        order_of(user, {pen: 1})
    send(*sent_payloads())
    with source() as dying:
        taken = take(dying, 4)
        assert consumers.count(taken).left_out == {}
    with source() as restarted:
        again = take(restarted, 4)
        assert [message.position for message in again] == [message.position for message in taken]
        consumers.count(again)
        restarted.settle(again)
    assert units_counted() == {(pen.pk, timezone.localdate().isoformat()): 4}
    send(b"next")
    with source() as third:
        assert [message.payload for message in take(third, 1)] == [b"next"]


def test_a_lost_database_connection_is_retried_without_loss(user: User, pen: Product) -> None:
    order_of(user, {pen: 3})
    payloads = as_batch(sent_payloads())
    [backend] = sql.fetch_one("SELECT pg_backend_pid()") or [None]
    with meanwhile(lambda: sql.fetch_one("SELECT pg_terminate_backend(%s::integer)", [backend])) as terminated:
        terminated.result(timeout=PATIENCE_SECONDS)
    assert consumers._counted(payloads, Event())
    assert units_counted() == {(pen.pk, timezone.localdate().isoformat()): 3}


def test_a_stop_during_a_database_outage_commits_no_offsets(user: User, pen: Product) -> None:
    order_of(user, {pen: 3})
    payloads = as_batch(sent_payloads())
    stopping = Event()
    stopping.set()
    connection.close()
    with no_new_connections():
        assert not consumers._counted(payloads, stopping)
    assert units_counted() == {}


def test_offsets_are_not_committed_before_the_count(user: User, pen: Product, caplog: pytest.LogCaptureFixture) -> None:
    order_of(user, {pen: 3})
    [payload] = sent_payloads()
    send(payload)
    with no_new_connections(), consuming():
        wait_until(lambda: "could not be counted" in caplog.text, "a count that fails")
    assert units_counted() == {}
    with source() as next_consumer:
        assert [message.payload for message in take(next_consumer, 1)] == [payload]


class TestCommand:
    """`manage.py consume_orders` as a process."""

    def test_it_counts_until_sigterm(self, user: User, pen: Product) -> None:
        today = timezone.localdate().isoformat()
        environment = {"KAFKA_CONSUMER_GROUP": configured.KAFKA_CONSUMER_GROUP}
        with managed("consume_orders", environment=environment) as consumer:
            wait_until(lambda: consumer.printed("Counting order-completed, order-cancelled"), "the consumer")
            order_of(user, {pen: 2})
            Dispatcher(KAFKA).drain()
            wait_until(lambda: units_counted() == {(pen.pk, today): 2}, "the order to be counted")
            assert consumer.stop() == 0
            assert consumer.printed("Consumer stopped")

    def test_it_waits_for_kafka(self) -> None:
        with managed("consume_orders", environment={"KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:1"}) as consumer:
            wait_until(lambda: consumer.printed("Counting"), "the consumer")
            assert consumer.stop() == 0

    def test_it_ends_when_statistics_are_counted_inline(self, settings: Settings) -> None:
        settings.PRODUCT_STATS_MODE = "inline"
        done = call("consume_orders")
        assert done.returncode == 0
        assert "PRODUCT_STATS_MODE=inline" in done.stdout


class TestInline:
    """`PRODUCT_STATS_MODE=inline`: the outbox counts, without Kafka."""

    @pytest.fixture(autouse=True)
    def inline(self, settings: Settings) -> None:
        settings.PRODUCT_STATS_MODE = "inline"

    def test_orders_are_counted_without_kafka(self, user: User, pen: Product, settings: Settings) -> None:
        settings.KAFKA_BOOTSTRAP_SERVERS = "127.0.0.1:1"
        order = order_of(user, {pen: 3})
        order_of(user, {pen: 1})
        cancel(order)
        assert Dispatcher(PRODUCT_STATS).drain() == Drained(sent=3)
        assert units_counted() == {(pen.pk, timezone.localdate().isoformat()): 1}
        assert ProcessedEvent.objects.count() == 3

    def test_an_event_also_received_from_kafka_counts_once(self, user: User, pen: Product) -> None:
        order_of(user, {pen: 3})
        Dispatcher(PRODUCT_STATS).drain()
        assert consumers.count(as_batch(sent_payloads())) == Counted(events=0, repeats=1, left_out={})
        assert units_counted() == {(pen.pk, timezone.localdate().isoformat()): 3}

    def test_a_message_that_cannot_be_counted_is_parked(self, user: User, pen: Product) -> None:
        broken = order_of(user, {pen: 3})
        order_of(user, {pen: 1})
        rows = OutboxMessage.objects.filter(destination=PRODUCT_STATS)
        rows.filter(event_id=order_completed(broken).id).update(payload="{}")
        assert Dispatcher(PRODUCT_STATS).drain() == Drained(sent=1, failed=1)
        parked = rows.get(event_id=order_completed(broken).id)
        assert parked.parked_at is not None
        assert parked.last_error == "Not an order event: KeyError: 'type'"
        assert units_counted() == {(pen.pk, timezone.localdate().isoformat()): 1}

    def test_without_inline_no_message_is_written(self, user: User, pen: Product, settings: Settings) -> None:
        settings.PRODUCT_STATS_MODE = "kafka"
        order_of(user, {pen: 1})
        assert not OutboxMessage.objects.filter(destination=PRODUCT_STATS).exists()
