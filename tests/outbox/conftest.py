"""Fixtures of the outbox's tests: topics, events, an independent consumer, a data platform."""

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count

import pytest
from confluent_kafka import Consumer, Message, TopicPartition
from django.conf import settings as configured
from django.test import override_settings
from django.utils import timezone
from pytest_django import Settings

from commerce.core.locks import locked_transaction
from commerce.outbox import local_dispatch
from commerce.outbox.models import OutboxMessage
from commerce.outbox.publish import Event, publish
from commerce.outbox.sinks import kafka
from commerce.outbox.sinks.base import sink_of
from tests.outbox.partner import Partner, partner_at_work
from tests.together import PATIENCE_SECONDS, wait_until

_numbers = count(1)


@pytest.fixture(autouse=True)
def own_topics(settings: Settings) -> None:
    """Own topics for each test."""
    settings.KAFKA_TOPIC_PREFIX = f"{uuid.uuid4().hex[:8]}-"


@pytest.fixture(autouse=True)
def own_sinks() -> Iterator[None]:
    """Closed breakers at the start of each test."""
    sink_of.cache_clear()
    yield
    sink_of.cache_clear()


@pytest.fixture
def partner(settings: Settings) -> Iterator[Partner]:
    """A running data platform, configured in the settings."""
    with partner_at_work() as partner:
        settings.DATA_PLATFORM_URL = partner.url
        settings.DATA_PLATFORM_SECRET = "the partner's and our secret, 40 letters"
        # A long timeout, so that a busy machine does not look like an unavailable platform. Tests of the timeout set
        # their own.
        settings.DATA_PLATFORM_TIMEOUT_SECONDS = PATIENCE_SECONDS
        yield partner


@contextmanager
def unavailable_kafka() -> Iterator[None]:
    """Kafka is unreachable. The client retries until its timeout, which is short here."""
    with override_settings(KAFKA_BOOTSTRAP_SERVERS="127.0.0.1:1"), pytest.MonkeyPatch.context() as patch:
        patch.setattr(kafka, "TOPIC_SECONDS", 0.2)
        yield


@pytest.fixture
def dispatching(settings: Settings) -> Iterator[None]:
    """This process delivers the messages that it commits."""
    settings.OUTBOX_DISPATCH_IN_WEB = True
    yield
    local_dispatch.stop()


@dataclass(frozen=True)
class Record:
    """A message as read by an independent consumer."""

    key: str
    value: bytes
    headers: list[tuple[str, str | bytes | None]]
    partition: int


def publish_events(*, user_id: int = 1, event_type: str = "coupon-issued", times: int = 1, text: str = "") -> list[str]:
    """Commit events of one user, each in its own transaction, and return their ids."""
    event_ids = []
    for _ in range(times):
        event = Event(event_type, next(_numbers), "thing", user_id, timezone.now(), {"text": text})
        with locked_transaction() as unit:
            publish(unit, event)
        event_ids.append(event.id)
    return event_ids


def waiting(destination: str) -> list[OutboxMessage]:
    """The waiting messages, oldest first."""
    messages = OutboxMessage.objects.filter(destination=destination, sent_at=None, parked_at=None)
    return list(messages.order_by("id"))


def read_topic(event_type: str, *, at_least: int) -> list[Record]:
    """All messages in the topic of an event type, those of each partition in order, once there are `at_least`."""
    records: list[Record] = []
    topic = f"{configured.KAFKA_TOPIC_PREFIX}{event_type}"
    reader = Consumer(
        {
            "bootstrap.servers": configured.KAFKA_BOOTSTRAP_SERVERS,
            "group.id": uuid.uuid4().hex,
            "enable.auto.commit": False,
            "enable.partition.eof": True,
        }
    )
    partitions = list(reader.list_topics(topic, timeout=PATIENCE_SECONDS).topics[topic].partitions)

    def all_read() -> bool:
        """Read all partitions from the first message to the end."""
        records.clear()
        reader.assign([TopicPartition(topic, partition, 0) for partition in partitions])
        at_end: set[int | None] = set()
        while len(at_end) < len(partitions):
            message = reader.poll(1.0)
            if message is None:
                continue
            if message.error():
                at_end.add(message.partition())
            else:
                records.append(_record(message))
        return len(records) >= at_least

    try:
        wait_until(all_read, f"{at_least} messages in {topic}")
    finally:
        reader.close()
    return records


def _record(message: Message) -> Record:
    key, value, partition = message.key(), message.value(), message.partition()
    assert isinstance(key, bytes)
    assert isinstance(value, bytes)
    assert partition is not None
    headers = message.headers() or []
    assert isinstance(headers, list)
    return Record(key.decode(), value, headers, partition)
