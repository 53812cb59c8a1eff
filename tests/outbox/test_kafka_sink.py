"""Messages to Kafka: their content, and errors of the broker."""

import json
import threading
import time

import pytest

from commerce.outbox.dispatcher import Dispatcher
from commerce.outbox.routes import KAFKA
from commerce.outbox.sinks import kafka
from commerce.outbox.sinks.base import Failure, Message
from commerce.outbox.sinks.kafka import KafkaSink, KafkaUnavailable
from orders.events import order_completed
from tests.factories import ProductFactory, UserFactory, order_of
from tests.outbox.conftest import read_topic, unavailable_kafka

# Long enough for a busy machine, shorter than without a deadline.
SLACK_SECONDS = 5.0


def message(number: int, *, key: str = "7", event_type: str = "order-completed", payload: bytes = b"{}") -> Message:
    return Message(number, f"{event_type}:{number}", event_type, key, payload, 0)


@pytest.mark.django_db(transaction=True)
def test_an_order_is_a_cloud_event_keyed_by_its_user() -> None:
    user = UserFactory(balance=10_000)
    order = order_of(user, {ProductFactory(price=1_500): 2})
    assert Dispatcher(KAFKA).drain().sent == 2
    [completed] = read_topic("order-completed", at_least=1)
    assert completed.key == str(user.pk)
    assert completed.headers == [("content-type", b"application/cloudevents+json")]
    event = json.loads(completed.value)
    assert event.pop("time") == event["data"]["createdAt"]
    assert event.pop("data")["id"] == order.pk
    assert event == {
        "specversion": "1.0",
        "id": order_completed(order).id,
        "source": "/commerce",
        "type": "order-completed",
        "subject": f"order/{order.pk}",
        "datacontenttype": "application/json",
    }
    [changed] = read_topic("balance-changed", at_least=1)
    assert changed.key == str(user.pk)
    assert json.loads(changed.value)["data"]["amount"] == -3_000


def test_each_message_is_acknowledged_and_keeps_its_place() -> None:
    messages = [message(number, key=str(number % 7), payload=str(number).encode()) for number in range(700)]
    assert KafkaSink().deliver(messages) == dict.fromkeys(range(700))
    records = read_topic("order-completed", at_least=700)
    for key in map(str, range(7)):
        values = [int(record.value) for record in records if record.key == key]
        assert values == list(range(int(key), 700, 7))
        assert len({record.partition for record in records if record.key == key}) == 1


def test_only_a_too_large_message_is_refused() -> None:
    outcomes = KafkaSink().deliver([message(1), message(2, payload=b"x" * 2_000_000), message(3)])
    assert outcomes[1] is None
    assert outcomes[3] is None
    refusal = outcomes[2]
    assert isinstance(refusal, Failure)
    assert (refusal.refused, refusal.unavailable) == (True, False)
    assert "MSG_SIZE_TOO_LARGE" in refusal.reason


def test_a_missing_topic_holds_back_its_keys_only() -> None:
    """The embedded broker creates requested topics, so the step after the lookup is tested separately."""
    lost, later, other = message(1, key="7", event_type="coupon-issued"), message(2, key="7"), message(3, key="8")
    outcomes, sendable = kafka._without_missing([lost, later, other], {kafka.topic_of("coupon-issued"): "unknown"})
    assert outcomes == {1: Failure(f"Topic {kafka.topic_of('coupon-issued')}: unknown")}
    assert sendable == [other]


def test_without_a_broker_every_message_fails_within_the_limit() -> None:
    started = time.monotonic()
    with unavailable_kafka():
        outcomes = KafkaSink().deliver([message(1), message(2)])
    assert time.monotonic() - started < kafka.DELIVERY_SECONDS + SLACK_SECONDS
    assert [isinstance(failure, Failure) and failure.unavailable for failure in outcomes.values()] == [True, True]


def test_a_ping_checks_for_a_broker() -> None:
    kafka.ping(timeout_seconds=5)
    started = time.monotonic()
    with unavailable_kafka(), pytest.raises(KafkaUnavailable):
        kafka.ping(timeout_seconds=0.3)
    assert time.monotonic() - started < 0.3 + SLACK_SECONDS


def test_a_ping_reuses_the_client() -> None:
    kafka.ping(timeout_seconds=5)
    threads = threading.active_count()
    client = kafka._clients.current()
    for _ in range(5):
        kafka.ping(timeout_seconds=5)
    assert kafka._clients.current() is client
    assert threading.active_count() == threads
