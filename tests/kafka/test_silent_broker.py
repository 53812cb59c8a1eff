"""The client of a consumer that cannot rejoin its group after a broker was unresponsive is replaced.

`make test-outages` shows with Apache Kafka that librdkafka needs this: without the replacement, its consumer does not
return after a broker was paused under load.
"""

from contextlib import closing

import pytest
from confluent_kafka import Producer

from commerce.outbox.sinks import kafka_source
from commerce.outbox.sinks.kafka import topic_of
from commerce.outbox.sinks.kafka_source import KafkaSource, Received
from tests.kafka.node import Node
from tests.together import wait_until

EVENT = "order-completed"
pytestmark = pytest.mark.usefixtures("topics")


def send(cluster: str, *payloads: bytes) -> None:
    producer = Producer({"bootstrap.servers": cluster})
    for payload in payloads:
        producer.produce(topic_of(EVENT), key=payload, value=payload)
    assert producer.flush(30) == 0


class Reader:
    """Reads messages and commits their offsets, as the consumer does."""

    def __init__(self, source: KafkaSource) -> None:
        self._source = source
        self.seen: set[bytes] = set()

    def take(self) -> list[Received]:
        received = self._source.take(limit=100, wait_seconds=0.05)
        self.seen |= {message.payload for message in received}
        return received

    def has(self, *payloads: bytes) -> bool:
        self._source.settle(self.take())
        return self.seen.issuperset(payloads)


def test_a_client_that_has_lost_its_group_is_replaced(
    cluster: str, node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    with closing(KafkaSource(group="silence", event_types=[EVENT])) as source:
        reader = Reader(source)
        send(cluster, b"before")
        wait_until(lambda: reader.has(b"before"), "the first message")
        first_client = source._consumer
        monkeypatch.setattr(kafka_source, "MEMBERSHIP_SECONDS", 0.5)
        node.pause()
        try:
            wait_until(lambda: reader.has() and source._consumer is not first_client, "the lost client to be replaced")
        finally:
            node.resume()


def test_a_client_that_has_just_lost_its_group_has_time_to_come_back(
    cluster: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also after a long time without polls: the process was paused, or its database unavailable."""
    with closing(KafkaSource(group="stopped", event_types=[EVENT])) as source:
        reader = Reader(source)
        send(cluster, b"before")
        wait_until(lambda: reader.has(b"before"), "the first message")
        client = source._consumer
        client.unsubscribe()
        wait_until(
            lambda: not client.consume(timeout=0.05) and not client.memberid(), "the client to be without its group"
        )
        monkeypatch.setattr(kafka_source, "MEMBERSHIP_SECONDS", 0.0)
        reader.take()
        assert source._consumer is client
        reader.take()
        assert source._consumer is not client


def test_a_member_without_partitions_keeps_its_client(cluster: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """With more consumers than partitions, a member without partitions is still a member."""
    sources = [KafkaSource(group="crowded", event_types=[EVENT]) for _ in range(4)]
    try:
        readers = [Reader(source) for source in sources]

        def everybody_reads() -> bool:
            for reader in readers:
                reader.has()
            return all(source._consumer.memberid() for source in sources)

        wait_until(everybody_reads, "everybody to be a member")
        clients = [source._consumer for source in sources]
        monkeypatch.setattr(kafka_source, "MEMBERSHIP_SECONDS", 0.0)
        send(cluster, *(str(number).encode() for number in range(30)))
        wait_until(lambda: everybody_reads() and sum(len(reader.seen) for reader in readers) >= 30, "all messages")
        assert [source._consumer for source in sources] == clients
    finally:
        for source in sources:
            source.close()
