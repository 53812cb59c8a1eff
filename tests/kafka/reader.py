"""An independent consumer of the shop's topics, which imports no code of the shop."""

import time
import uuid
from dataclasses import dataclass
from typing import Any

from confluent_kafka import OFFSET_BEGINNING, Consumer, Message, TopicPartition

from tests.together import PATIENCE_SECONDS

LIMIT_SECONDS = 30.0


@dataclass(frozen=True)
class Record:
    """One message of a topic; `written_at` is the producer's time in milliseconds since 1970."""

    partition: int
    offset: int
    key: bytes
    value: bytes
    headers: list[Any]
    written_at: int


def read_topic(bootstrap_servers: str, topic: str) -> list[Record]:
    """All current messages of the topic; those of each partition in order."""
    consumer = Consumer(
        {"bootstrap.servers": bootstrap_servers, "group.id": uuid.uuid4().hex, "enable.auto.commit": False}
    )
    try:
        known = consumer.list_topics(topic, timeout=PATIENCE_SECONDS).topics[topic]
        assert known.error is None, known.error
        ends = {
            partition: consumer.get_watermark_offsets(TopicPartition(topic, partition), timeout=PATIENCE_SECONDS)[1]
            for partition in known.partitions
        }
        consumer.assign([TopicPartition(topic, partition, OFFSET_BEGINNING) for partition, end in ends.items() if end])
        return _read(consumer, expected=sum(ends.values()))
    finally:
        consumer.close()


def _read(consumer: Consumer, *, expected: int) -> list[Record]:
    """`expected`: nothing is ever deleted from these topics, and every offset has a message."""
    records: list[Record] = []
    deadline = time.monotonic() + LIMIT_SECONDS
    while len(records) < expected:
        assert time.monotonic() < deadline, f"{len(records)} of {expected} messages could be read"
        for message in consumer.consume(num_messages=1_000, timeout=0.5):
            error = message.error()
            assert error is None, error
            records.append(_record(message))
    return sorted(records, key=lambda record: (record.partition, record.offset))


def _record(message: Message) -> Record:
    partition, offset, key, value = message.partition(), message.offset(), message.key(), message.value()
    assert partition is not None
    assert offset is not None
    assert isinstance(key, bytes)
    assert isinstance(value, bytes)
    return Record(partition, offset, key, value, list(message.headers() or []), message.timestamp()[1])
