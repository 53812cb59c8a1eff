"""The dispatcher if the broker is paused, killed, lacks a topic or refuses a message: nothing is lost or reordered."""

from __future__ import annotations

import io
import signal
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, NewTopic
from django.core.management import call_command
from django.db.models.functions import Now

from commerce.core import sql
from commerce.outbox import dispatcher_lock, local_dispatch
from commerce.outbox.dispatcher import Dispatcher, Drained
from commerce.outbox.models import OutboxMessage
from commerce.outbox.routes import KAFKA
from commerce.outbox.sinks import kafka
from commerce.outbox.sinks.base import Failure, Message
from tests.factories import ProductFactory, UserFactory
from tests.kafka.backlog import (
    EVENT,
    USERS,
    add_messages,
    arrived,
    assert_nothing_lost,
    failed_attempts,
    numbers_of,
    sent,
    waiting,
)
from tests.kafka.node import Node
from tests.outbox.manage import Managed, managed
from tests.shopper import Shopper
from tests.together import PATIENCE_SECONDS, another_session, together, wait_until, wait_until_blocked

if TYPE_CHECKING:
    from pytest_django import Settings

pytestmark = pytest.mark.django_db(transaction=True)

BATCH_IN_HAND = """
    SELECT count(*) FROM pg_stat_activity AS session
    WHERE datname = current_database() AND state = 'idle' AND query LIKE '%%held_back%%'
      AND EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory')
"""

END_WHO_WAITS = """
    SELECT pg_terminate_backend(pid) FROM pg_stat_activity
    WHERE datname = current_database() AND wait_event_type = 'Lock'
"""


@contextmanager
def relay(*, batch: int = 500) -> Iterator[Managed]:
    """`manage.py relay_outbox`, for Kafka only."""
    environment = {"DATA_PLATFORM_URL": "", "OUTBOX_BATCH_SIZE": str(batch)}
    with managed("relay_outbox", environment=environment) as process:
        yield process


@pytest.fixture
def dispatching(settings: Settings) -> Iterator[None]:
    """This process delivers the messages that it commits."""
    settings.OUTBOX_DISPATCH_IN_WEB = True
    yield
    local_dispatch.stop()


def batch_in_hand() -> bool:
    """Whether a dispatcher has read a batch and waits for the broker."""
    row = sql.fetch_one(BATCH_IN_HAND)
    return bool(row and row[0])


def producer_with(monkeypatch: pytest.MonkeyPatch, **changes: int | str) -> None:
    """Recreate the shop's producer with changed settings."""
    monkeypatch.setattr(kafka, "Producer", lambda configured: Producer({**configured, **changes}))
    monkeypatch.setattr(kafka, "_clients", kafka._Clients())


def make_topics() -> None:
    call_command("create_topics", stdout=io.StringIO())


def make_topic(cluster: str, event: str, **configured: str) -> None:
    """Create one topic with these settings."""
    admin = AdminClient({"bootstrap.servers": cluster, "log_level": 0})
    wanted = NewTopic(kafka.topic_of(event), num_partitions=3, replication_factor=1, config=configured)
    [answer] = admin.create_topics([wanted], operation_timeout=PATIENCE_SECONDS).values()
    answer.result(timeout=PATIENCE_SECONDS)


@pytest.mark.usefixtures("topics")
class TestBrokerTrouble:
    """Failures of the broker."""

    def test_a_paused_broker_gets_everything_in_order_when_it_goes_on(self, node: Node) -> None:
        add_messages(1, 300)
        with relay(batch=100) as process:
            wait_until(lambda: waiting() == 0, "the messages before the pause")
            node.pause()
            add_messages(301, 900)
            wait_until(failed_attempts, "a batch without an answer")
            add_messages(901, 1_000)
            assert sent() == 300
            node.resume()
            wait_until(lambda: waiting() == 0, "everything to leave")
            assert process.stop() == 0
        assert_nothing_lost(arrived(), last=1_000)

    @pytest.mark.usefixtures("dispatching")
    def test_a_paused_broker_does_not_delay_orders(self, node: Node) -> None:
        shopper, product = Shopper(UserFactory(balance=100_000)), ProductFactory(price=1_000, stock=10)
        node.pause()
        for _ in range(3):
            assert shopper.post("/api/orders", {"items": [{"productId": product.pk, "quantity": 1}]}).status == 200
        assert sent() == 0
        node.resume()
        wait_until(lambda: waiting() == 0, "the events of three orders")
        assert len(arrived("order-completed")) == 3

    def test_a_killed_broker_gets_the_rest_after_recovery(self, node: Node) -> None:
        add_messages(1, 6_000)
        with relay(batch=20) as process:
            wait_until(lambda: sent() >= 200, "the first messages to leave")
            node.kill()
            assert waiting() > 0, "the broker was killed too late to show anything"
            wait_until(failed_attempts, "a batch that found no broker")
            node.start_again()
            wait_until(lambda: waiting() == 0, "everything to leave")
            assert process.stop() == 0
        assert_nothing_lost(arrived(), last=6_000)

    def test_control_without_waiting_for_the_acknowledgement_it_gets_nothing(
        self, node: Node, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def deliver_and_die(sink: kafka.KafkaSink, messages: Sequence[Message]) -> Mapping[int, None]:
            client = kafka._clients.current()
            for message in messages:
                client.enqueue(message, {}, deadline=0.0)
            kafka._clients.discard(client)
            return {message.id: None for message in messages}

        add_messages(1, 10)
        assert Dispatcher(KAFKA).drain() == Drained(sent=10)
        node.kill()
        add_messages(11, 30)
        with monkeypatch.context() as careless:
            careless.setattr(kafka.KafkaSink, "deliver", deliver_and_die)
            assert Dispatcher(KAFKA).drain() == Drained(sent=20)
        node.start_again()
        add_messages(31, 31)
        wait_until(
            lambda: Dispatcher(KAFKA).drain() == Drained() and not waiting(), "the broker to take messages again"
        )
        assert sorted(numbers_of(arrived())) == [*range(1, 11), 31]

    def test_an_unavailable_broker_at_the_start_is_waited_for(self, node: Node) -> None:
        add_messages(1, 50)
        node.kill()
        with relay() as process:
            wait_until(failed_attempts, "a batch that found no broker")
            node.start_again()
            wait_until(lambda: waiting() == 0, "everything to leave")
            assert process.stop() == 0
        assert_nothing_lost(arrived(), last=50)


class TestTopics:
    """The cluster does not create topics automatically."""

    def test_an_event_without_topic_waits_for_its_creation(self) -> None:
        add_messages(1, 30)
        with relay() as process:
            # The first message of each user, which delays the later ones.
            wait_until(lambda: failed_attempts() == USERS, "the messages to be tried")
            [reason] = set(OutboxMessage.objects.filter(attempts__gt=0).values_list("last_error", flat=True))
            make_topics()
            wait_until(lambda: waiting() == 0, "everything to leave")
            assert process.stop() == 0
        assert "UNKNOWN_TOPIC_OR_PART" in reason
        assert_nothing_lost(arrived(), last=30)
        assert len(arrived()) == 30

    def test_it_holds_back_only_later_events_of_its_user(self, cluster: str) -> None:
        self.queue_a_coupon_without_topic_and_two_orders(cluster)
        assert Dispatcher(KAFKA).drain() == Drained(sent=1, failed=1)
        assert [record.key for record in arrived("order-completed")] == [b"2"]
        make_topics()
        OutboxMessage.objects.update(next_attempt_at=Now())
        assert Dispatcher(KAFKA).drain() == Drained(sent=2)
        [issued] = arrived("coupon-issued")
        [ordered] = [record for record in arrived("order-completed") if record.key == b"1"]
        assert issued.written_at <= ordered.written_at

    def test_control_without_holding_back_the_later_event_overtakes(
        self, cluster: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def nobody_held_back(
            messages: Sequence[Message], missing: Mapping[str, str]
        ) -> tuple[dict[int, Failure | None], list[Message]]:
            lost = [message for message in messages if kafka.topic_of(message.type) in missing]
            return {message.id: Failure("no topic") for message in lost}, [
                each for each in messages if each not in lost
            ]

        monkeypatch.setattr(kafka, "_without_missing", nobody_held_back)
        self.queue_a_coupon_without_topic_and_two_orders(cluster)
        assert Dispatcher(KAFKA).drain() == Drained(sent=2, failed=1)
        assert {record.key for record in arrived("order-completed")} == {b"1", b"2"}

    def test_three_missing_topics_leave_time_for_the_fourth(self, cluster: str) -> None:
        make_topic(cluster, "order-completed")
        for number, event in enumerate(("balance-changed", "coupon-issued", "order-cancelled", "order-completed")):
            add_messages(number, number, event=event)
        assert Dispatcher(KAFKA).drain() == Drained(sent=1, failed=3)
        assert len(arrived("order-completed")) == 1

    def queue_a_coupon_without_topic_and_two_orders(self, cluster: str) -> None:
        """Messages: user 1 was issued a coupon and then ordered; user 2 has ordered."""
        make_topic(cluster, "order-completed")
        add_messages(1, 1, users=9)
        add_messages(1, 2, users=9, event="order-completed")


class TestMessageTooLarge:
    """A message that the broker can never accept is parked with the reason and delays no others."""

    def test_one_that_the_client_refuses(self, topics: None) -> None:
        add_messages(1, 20)
        add_messages(21, 21, noise_bytes=2_000_000)
        add_messages(22, 40)
        assert Dispatcher(KAFKA).drain() == Drained(sent=39, failed=1)
        self.assert_only_21_is_parked()

    def test_one_that_the_topic_refuses_affects_no_other(self, cluster: str, monkeypatch: pytest.MonkeyPatch) -> None:
        """The messages of a batch share requests, which the broker accepts or refuses as a whole."""
        producer_with(monkeypatch, **{"compression.type": "none"})
        make_topic(cluster, EVENT, **{"max.message.bytes": str(kafka.REQUEST_BYTES)})
        add_messages(1, 20)
        add_messages(21, 21, noise_bytes=900_000)
        add_messages(22, 3_000, noise_bytes=700)
        assert Dispatcher(KAFKA).drain() == Drained(sent=2_999, failed=1)
        self.assert_only_21_is_parked(last=3_000)

    def test_control_in_large_requests_others_are_parked_too(
        self, cluster: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        producer_with(monkeypatch, **{"batch.size": 1_000_000, "linger.ms": 500})
        make_topic(cluster, EVENT, **{"max.message.bytes": str(kafka.REQUEST_BYTES)})
        add_messages(1, 20)
        add_messages(21, 21, noise_bytes=900_000)
        assert Dispatcher(KAFKA).drain().failed > 1

    def assert_only_21_is_parked(self, *, last: int = 40) -> None:
        parked = OutboxMessage.objects.get(sent_at=None)
        assert parked.event_id == f"{EVENT}:21"
        assert parked.parked_at is not None
        assert "MSG_SIZE_TOO_LARGE" in parked.last_error
        numbers = numbers_of(arrived())
        assert sorted(numbers) == [number for number in range(1, last + 1) if number != 21]


@pytest.mark.usefixtures("topics")
class TestProcesses:
    """Relays that are killed, stopped, or run concurrently."""

    def test_a_relay_killed_after_the_acknowledgement_causes_a_repeat(self) -> None:
        add_messages(1, 500)
        with another_session() as session, relay(batch=50) as killed:
            # Blocks the dispatcher before it marks the second batch as sent.
            session.execute(
                "SELECT FROM outbox_message WHERE event_id = ANY(%s) FOR UPDATE",
                [[f"{EVENT}:{number}" for number in range(51, 101)]],
            )
            wait_until_blocked()
            assert sent() == 50
            killed.stop(signal.SIGKILL)
            # Otherwise the UPDATE of the killed relay would be executed when the lock is released.
            sql.fetch_one(END_WHO_WAITS)
        with relay(batch=50) as next_one:
            wait_until(lambda: waiting() == 0, "everything to leave")
            assert next_one.stop() == 0
        records = arrived()
        assert_nothing_lost(records, last=500)
        assert sorted(numbers_of(records)) == sorted([*range(1, 501), *range(51, 101)])

    def test_two_concurrent_relays_and_one_killed(self) -> None:
        add_messages(1, 6_000)
        with relay(batch=20) as killed, relay(batch=20) as other:
            wait_until(lambda: sent() >= 500 and other.printed("Relaying"), "some messages to leave")
            killed.stop(signal.SIGKILL)
            assert waiting() > 0, "the relay was killed too late to show anything"
            wait_until(lambda: waiting() == 0, "everything to leave")
            assert other.stop() == 0
        records = arrived()
        assert_nothing_lost(records, last=6_000)
        assert len(records) <= 6_000 + 20

    def test_control_without_the_lock_everything_is_sent_twice(self, monkeypatch: pytest.MonkeyPatch) -> None:
        both_have_it = threading.Barrier(2)

        class Unlocked(Dispatcher):
            """Waits for the other dispatcher after reading a batch."""

            def _due(self) -> list[Message]:
                batch = super()._due()
                both_have_it.wait(timeout=PATIENCE_SECONDS)
                return batch

        monkeypatch.setattr(dispatcher_lock, "TRY_LOCK", "SELECT %s <> ''")
        add_messages(1, 100)
        together([Unlocked(KAFKA).drain] * 2)
        assert sorted(numbers_of(arrived())) == sorted([*range(1, 101)] * 2)

    def test_sigterm_finishes_the_current_batch(self, node: Node) -> None:
        add_messages(1, 10)
        with relay(batch=50) as process:
            wait_until(lambda: waiting() == 0, "the first messages to leave")
            node.pause()
            add_messages(11, 300)
            wait_until(batch_in_hand, "a batch that waits for the broker")
            process.process.send_signal(signal.SIGTERM)
            node.resume()
            assert process.process.wait(timeout=30) == 0
        assert sent() == 60
        assert sorted(numbers_of(arrived())) == list(range(1, 61))

    def test_a_full_producer_queue_is_waited_for(self, monkeypatch: pytest.MonkeyPatch) -> None:
        producer_with(monkeypatch, **{"queue.buffering.max.messages": 10})
        add_messages(1, 500)
        assert Dispatcher(KAFKA).drain() == Drained(sent=500)
        assert_nothing_lost(arrived(), last=500)
        assert len(arrived()) == 500
