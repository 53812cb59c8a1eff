"""The way back in: what the shop itself reads from Kafka.

Owns the consumer, its topics and its offsets; never looks into a message.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from commerce.outbox.sinks.kafka import KafkaAway, ask_for_topics, client_settings, library_logger, topic_of


@dataclass(frozen=True)
class Received:
    """One message as it stands in its topic."""

    topic: str
    partition: int
    offset: int
    payload: bytes

    @property
    def position(self) -> str:
        """Where an operator finds it again."""
        return f"{self.topic}[{self.partition}]@{self.offset}"


class KafkaSource:
    """Messages of some event types, each read at least once by each consumer group.

    Offsets move only by `settle`: what was taken and not settled is read again after a crash or a rebalance.
    """

    def __init__(self, *, group: str, event_types: Sequence[str]) -> None:
        topics = [topic_of(event_type) for event_type in event_types]
        ask_for_topics(topics)
        self._consumer = Consumer(
            {
                **client_settings(),
                "client.id": group,
                "group.id": group,
                "enable.auto.commit": False,
                "auto.offset.reset": "earliest",
                # A consumer that died is noticed, and its partitions given away, within seconds.
                "session.timeout.ms": 6_000,
                "heartbeat.interval.ms": 1_500,
                # A topic may come into being after us.
                "topic.metadata.refresh.interval.ms": 2_000,
                "on_commit": _log_commit,
            }
        )
        self._consumer.subscribe(topics)

    def take(self, *, limit: int, wait_seconds: float) -> list[Received]:
        """What has arrived: at most `limit` messages, after `wait_seconds` at the latest, and none while Kafka is away.

        Raises KafkaAway where the client cannot go on and a new one is needed.
        """
        received = []
        for message in self._consumer.consume(num_messages=limit, timeout=wait_seconds):
            error = message.error()
            if error is None:
                received.append(_received(message))
            elif error.fatal():
                raise KafkaAway(error.str())
            else:
                library_logger.warning("Consumer: %s: %s", error.name(), error.str())
        return received

    def settle(self, received: Sequence[Received]) -> None:
        """These messages are done with. A commit that fails means that they are read again, no more."""
        next_offsets: dict[tuple[str, int], int] = {}
        for message in received:
            place = (message.topic, message.partition)
            next_offsets[place] = max(next_offsets.get(place, 0), message.offset + 1)
        offsets = [TopicPartition(topic, partition, offset) for (topic, partition), offset in next_offsets.items()]
        if offsets:
            try:
                self._consumer.commit(offsets=offsets, asynchronous=True)
            except KafkaException as error:
                _log_commit(error.args[0], offsets)

    def close(self) -> None:
        """Leave the group, so that others take over at once."""
        self._consumer.close()


def _received(message: Message) -> Received:
    topic, partition, offset, payload = message.topic(), message.partition(), message.offset(), message.value()
    if topic is None or partition is None or offset is None:
        raise KafkaAway("A message without a position.")
    return Received(topic, partition, offset, payload or b"")


def _log_commit(error: KafkaError | None, offsets: Sequence[TopicPartition]) -> None:
    if error is not None:
        library_logger.warning("Consumer: offsets were not committed: %s", error.str())
