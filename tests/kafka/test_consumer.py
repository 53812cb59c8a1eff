"""The statistics consumer during rebalances, broker failures and replays: every order is counted once."""

from __future__ import annotations

import io
import signal
from collections.abc import Iterator
from contextlib import closing, contextmanager
from threading import Event
from typing import TYPE_CHECKING

import pytest
from confluent_kafka import Producer
from django.conf import settings as configured
from django.core.management import CommandError, call_command

from commerce.core import sql
from commerce.outbox.dispatcher import Dispatcher
from commerce.outbox.routes import KAFKA
from commerce.outbox.sinks import kafka_source
from commerce.outbox.sinks.kafka import client_settings
from commerce.outbox.sinks.kafka_source import KafkaSource, Received
from stats.events import ORDER_EVENTS
from stats.management.commands.consume_orders import Command
from stats.models import ProcessedEvent
from stats.operations import COUNT_ALONE, COUNTING
from tests.factories import ProductFactory, UserFactory
from tests.kafka.group import Group
from tests.kafka.node import Node
from tests.kafka.sales import assert_exact, sell, units_counted, units_of_orders
from tests.outbox.manage import Managed, managed
from tests.together import PATIENCE_SECONDS, another_session, meanwhile, wait_until, wait_until_blocked

if TYPE_CHECKING:
    import psycopg
    from pytest_django import Settings

    from balances.models import User
    from products.models import Product

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("topics")]


@pytest.fixture
def users() -> list[User]:
    return [UserFactory() for _ in range(12)]


@pytest.fixture
def products() -> list[Product]:
    return [ProductFactory(price=price) for price in (1_000, 2_000, 3_000)]


@pytest.fixture
def group(cluster: str, topics: None) -> Iterator[Group]:
    group = Group(cluster)
    yield group
    group.close()


class Shop:
    """Places orders, whose events are sent to Kafka."""

    def __init__(self, users: list[User], products: list[Product]) -> None:
        self._users = users
        self._products = products
        self.sent = 0

    def sell(self, orders: int) -> None:
        self.sent += sell(orders, users=self._users, products=self._products)
        assert Dispatcher(KAFKA).drain().failed == 0

    def all_counted(self) -> bool:
        return ProcessedEvent.objects.count() == self.sent


@pytest.fixture
def shop(users: list[User], products: list[Product]) -> Shop:
    return Shop(users, products)


@contextmanager
def consumer() -> Iterator[Managed]:
    """`manage.py consume_orders`, in the group of the test."""
    environment = {"KAFKA_CONSUMER_GROUP": configured.KAFKA_CONSUMER_GROUP}
    with managed("consume_orders", environment=environment) as process:
        yield process


@contextmanager
def nobody_counts() -> Iterator[psycopg.Connection]:
    """Consumers wait after they have read a batch, until the end of the block."""
    with another_session() as session:
        session.execute(COUNT_ALONE, [COUNTING])
        yield session


def test_two_consumers_count_exactly_during_rebalances(shop: Shop, group: Group) -> None:
    shop.sell(200)
    with consumer() as first:
        wait_until(ProcessedEvent.objects.exists, "the first to count")
        with consumer() as second:
            wait_until(lambda: group.shares() == [3, 6], "both to read")
            shop.sell(200)
            wait_until(shop.all_counted, "both to count")
            assert first.stop() == 0
            shop.sell(200)
            wait_until(lambda: group.shares() == [9], "the second to read everything")
            with consumer() as third:
                wait_until(lambda: group.shares() == [3, 6], "the third to take its share")
                shop.sell(200)
                wait_until(shop.all_counted, "everything to be counted")
                wait_until(group.is_through, "the offsets to be committed")
                assert (second.stop(), third.stop()) == (0, 0)
    assert_exact()


def test_a_consumer_killed_in_a_batch_is_replaced_by_the_other(shop: Shop, group: Group) -> None:
    with consumer() as killed, consumer() as other:
        wait_until(lambda: group.shares() == [3, 6], "both to read")
        with nobody_counts():
            shop.sell(400)
            wait_until_blocked(2)
            killed.stop(signal.SIGKILL)
            assert not ProcessedEvent.objects.exists()
        wait_until(shop.all_counted, "the other to count everything")
        wait_until(group.is_through, "the offsets to be committed")
        assert group.shares() == [9]
        assert other.stop() == 0
    assert_exact()


def test_a_consumer_killed_before_its_offsets_counts_nothing_twice(shop: Shop, group: Group, node: Node) -> None:
    with consumer() as killed:
        wait_until(lambda: group.shares() == [9], "the consumer to read")
        with nobody_counts() as session:
            shop.sell(100)
            wait_until_blocked()
            # The broker is unreachable, so no offset of this batch is committed.
            node.pause()
            session.commit()
            wait_until(ProcessedEvent.objects.exists, "the batch to be counted")
        killed.stop(signal.SIGKILL)
        node.kill()
    node.start_again()
    assert group.committed() == {}
    counted_before = ProcessedEvent.objects.count()
    assert counted_before > 0
    with consumer() as next_one:
        wait_until(group.is_through, "everything to be read again")
        assert next_one.stop() == 0
    assert shop.all_counted()
    assert_exact()


def test_control_offsets_committed_before_the_statistics_lose_orders(shop: Shop, group: Group) -> None:
    shop.sell(100)
    dying = KafkaSource(group=group.name, event_types=ORDER_EVENTS)
    taken: list[Received] = []

    def take() -> bool:
        taken.extend(dying.take(limit=500, wait_seconds=0.2))
        return bool(taken)

    wait_until(take, "a batch")
    dying.settle(taken)
    dying.close()
    lost = len(taken)
    shop.sell(100)
    with consumer() as next_one:
        wait_until(group.is_through, "the rest to be read")
        assert next_one.stop() == 0
    assert ProcessedEvent.objects.count() == shop.sent - lost


def test_topics_created_later_are_found(shop: Shop, settings: Settings, cluster: str) -> None:
    settings.KAFKA_TOPIC_PREFIX += "later-"
    with consumer() as process:
        wait_until(lambda: process.printed("Counting order-completed"), "the consumer")
        call_command("create_topics", stdout=io.StringIO())
        shop.sell(50)
        wait_until(shop.all_counted, "the orders to be counted")
        with closing(Group(cluster)) as group:
            wait_until(group.is_through, "the offsets to be committed")
        assert process.stop() == 0
    assert_exact()


def test_a_killed_broker_is_waited_for(shop: Shop, group: Group, node: Node) -> None:
    with consumer() as process:
        shop.sell(200)
        wait_until(shop.all_counted, "the orders before")
        node.kill()
        node.start_again()
        shop.sell(200)
        wait_until(shop.all_counted, "the orders after")
        wait_until(group.is_through, "the offsets to be committed")
        assert process.stop() == 0
    assert_exact()


class TestReplay:
    """The whole topic is read again from its first message."""

    @pytest.fixture(autouse=True)
    def counted_once(self, group: Group, shop: Shop) -> None:
        shop.sell(300)
        self.read_everything(group)
        assert_exact()
        group.back_to_the_beginning()
        assert set(group.committed().values()) == {0}

    def test_it_changes_nothing(self, group: Group, shop: Shop) -> None:
        before = units_counted()
        self.read_everything(group)
        assert units_counted() == before
        assert shop.all_counted()
        assert_exact()

    def test_control_without_processed_events_it_doubles_everything(self, group: Group) -> None:
        ProcessedEvent.objects.all().delete()
        self.read_everything(group)
        assert units_counted() == {place: 2 * units for place, units in units_of_orders().items()}

    def test_into_empty_tables_it_agrees_with_the_orders(self, group: Group) -> None:
        sql.execute("TRUNCATE product_stat, processed_event")
        self.read_everything(group)
        assert_exact()

    @staticmethod
    def read_everything(group: Group) -> None:
        with consumer() as process:
            wait_until(group.is_through, "everything to be read")
            assert process.stop() == 0


def test_poison_does_not_stop_the_rest(shop: Shop, group: Group, cluster: str) -> None:
    poison = (b"", b"\xff\xfe", b"{}", b"[" * 100_000, b'{"type": "order-completed", "id": "x", "data": null}', None)
    with consumer() as process:
        shop.sell(50)
        strangers = Producer({"bootstrap.servers": cluster})
        for event in ("order-completed", "order-cancelled"):
            for value in poison:
                for partition in range(configured.KAFKA_TOPIC_PARTITIONS):
                    strangers.produce(f"{configured.KAFKA_TOPIC_PREFIX}{event}", value, partition=partition)
        assert strangers.flush(10) == 0
        shop.sell(50)
        wait_until(shop.all_counted, "the orders around the poison")
        wait_until(group.is_through, "the poison to be left behind")
        assert process.stop() == 0
    assert sum(group.ends().values()) == shop.sent + 2 * 3 * len(poison)
    assert_exact()


def test_a_consumer_removed_by_kafka_reports_it_and_ends(group: Group, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another consumer joins with the same static member id; the cluster accepts only the newer one."""
    monkeypatch.setattr(kafka_source, "client_settings", lambda: {**client_settings(), "group.instance.id": "one"})
    stopping = Event()
    with meanwhile(lambda: Command()._consume(stopping, report_seconds=10)) as first:
        try:
            wait_until(lambda: group.shares() == [9], "the first to read")
            with (
                closing(KafkaSource(group=configured.KAFKA_CONSUMER_GROUP, event_types=ORDER_EVENTS)),
                pytest.raises(CommandError, match="Kafka gave this consumer up"),
            ):
                first.result(timeout=PATIENCE_SECONDS)
        finally:
            stopping.set()
