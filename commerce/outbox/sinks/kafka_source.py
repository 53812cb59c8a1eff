"""The way back in: what the shop itself reads from Kafka, and how far behind it is.

Owns the consumer, its topics and its offsets; never looks into a message.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from commerce.outbox.sinks.kafka import KafkaAway, ask_for_topics, client_settings, library_logger, topic_of

ANSWER_SECONDS = 5.0
"""How long the cluster may take for one question about a group."""
SESSION_MS = 6_000
"""How long the group waits for a sign of a consumer before it gives its partitions to others."""
MEMBERSHIP_SECONDS = 20.0
"""How long a consumer may be without its group before its client is replaced."""
LEAVE_SECONDS = 5.0
"""How long a client may take to leave its group."""


@dataclass(frozen=True)
class Received:
    """One message as it stands in its topic."""

    topic: str
    partition: int
    offset: int
    payload: bytes
    key: bytes | None = None
    headers: tuple[tuple[str, bytes | None], ...] = ()

    @property
    def position(self) -> str:
        """Where an operator finds it again."""
        return f"{self.topic}[{self.partition}]@{self.offset}"


@dataclass(frozen=True)
class PartitionLag:
    """How far a consumer group has come in one partition.

    Attributes:
        committed: the offset the group goes on from; None before its first commit.
        end: the offset that the next message will get.
        lag: messages the group has yet to read. Where its offset is no longer there, because the topic was shortened
            or made anew, it goes on from the oldest message that is.
    """

    topic: str
    partition: int
    committed: int | None
    end: int
    lag: int


class KafkaSource:
    """Messages of some event types, each read at least once by each consumer group.

    Offsets move only by `settle`: what was taken and not settled is read again after a crash or a rebalance.
    """

    def __init__(self, *, group: str, event_types: Sequence[str]) -> None:
        self.group = self._group = group
        self._topics = [topic_of(event_type) for event_type in event_types]
        ask_for_topics(self._topics)
        self._next_offsets: dict[tuple[str, int], int] = {}
        self._consumer = self._joining()

    def take(self, *, limit: int, wait_seconds: float) -> list[Received]:
        """What has arrived: at most `limit` messages, after `wait_seconds` at the latest, and none while Kafka is away.

        Raises KafkaAway where the client cannot go on and a new one is needed.
        """
        self._replace_lost_client()
        received = []
        for message in self._consumer.consume(num_messages=limit, timeout=wait_seconds):
            error = message.error()
            if error is None:
                received.append(_received(message))
            elif error.code() == KafkaError._FATAL:
                # `error.fatal()` is never true for an error that comes as a message.
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
        self._next_offsets |= next_offsets
        offsets = [TopicPartition(topic, partition, offset) for (topic, partition), offset in next_offsets.items()]
        if offsets:
            try:
                self._consumer.commit(offsets=offsets, asynchronous=True)
            except KafkaException as error:
                _log_commit(error.args[0], offsets)

    def lag(self) -> list[PartitionLag]:
        """How far this consumer is behind in the partitions it reads now, as it knows without asking the broker.

        A partition of which nothing has come yet is left out: its end is unknown.
        """
        lags = []
        for assigned in self._consumer.assignment():
            oldest, end = self._consumer.get_watermark_offsets(assigned, cached=True)
            settled = self._next_offsets.get((assigned.topic, assigned.partition))
            if end >= 0 and settled is not None:
                lags.append(_lag(assigned.topic, assigned.partition, settled, oldest=max(oldest, 0), end=end))
        return sorted(lags, key=lambda each: (each.topic, each.partition))

    def _forget(self, _consumer: Consumer, revoked: Sequence[TopicPartition]) -> None:
        """Others read these partitions on; how far they come is not known here."""
        for place in revoked:
            self._next_offsets.pop((place.topic, place.partition), None)

    def _joining(self) -> Consumer:
        """A new client on its way into the group."""
        self._lost_at: float | None = None
        consumer = Consumer(
            {
                **client_settings(),
                "client.id": self._group,
                "group.id": self._group,
                "enable.auto.commit": False,
                "auto.offset.reset": "earliest",
                # A consumer that died is noticed, and its partitions given away, within seconds.
                "session.timeout.ms": SESSION_MS,
                "heartbeat.interval.ms": SESSION_MS // 4,
                # So long at most a new member waits for an old one that was never heard of again.
                "max.poll.interval.ms": 60_000,
                # A topic may come into being after us.
                "topic.metadata.refresh.interval.ms": 2_000,
                "on_commit": _log_commit,
            }
        )
        consumer.subscribe(self._topics, on_revoke=self._forget)
        return consumer

    def _replace_lost_client(self) -> None:
        """A client that finds no way back into its group gives way to a new one.

        Where a broker was silent for longer than the session, librdkafka 2.16 can lose its coordinator and then wait
        for ever for a connection that it never begins; it comes back only as a new client.
        """
        now = time.monotonic()
        if self._consumer.memberid():
            self._lost_at = None
        elif self._lost_at is None:
            # Not since it was last seen there: a process that was stopped itself, or waited for its database, would
            # take a client away that is on its way back, and the group would wait for one that never answers.
            self._lost_at = now
        elif now - self._lost_at > MEMBERSHIP_SECONDS:
            library_logger.warning("Consumer: without its group for %.0f s; a new client joins", MEMBERSHIP_SECONDS)
            self._next_offsets.clear()
            # The old one is not closed: that would wait for the very coordinator that it cannot find.
            self._consumer = self._joining()

    def close(self) -> None:
        """Leave the group, so that others take over at once; at most `LEAVE_SECONDS`.

        Unsubscribes first, and closes only a client that has left. Where `close` of librdkafka 2.16 meets a rebalance,
        it can wait for ever, with the interpreter's lock held. A client that is still a member is given up unclosed:
        the group drops it after its session.
        """
        try:
            self._consumer.unsubscribe()
        except KafkaException:
            # The cluster has given this client up: it has nothing to leave.
            return
        deadline = time.monotonic() + LEAVE_SECONDS
        while self._consumer.memberid():
            if time.monotonic() > deadline:
                return
            self._consumer.consume(num_messages=500, timeout=0.05)
        self._consumer.close()


def group_lag(*, group: str, event_types: Sequence[str]) -> list[PartitionLag]:
    """How far a consumer group has come in every partition of the topics, as the cluster says; joins nothing.

    A topic that does not exist is left out. Raises KafkaAway where the cluster does not answer.
    """
    consumer = Consumer({**client_settings(), "client.id": f"{group}-lag", "group.id": group})
    try:
        return _group_lag(consumer, event_types)
    except KafkaException as error:
        raise KafkaAway(error.args[0].str()) from error
    finally:
        consumer.close()


def _group_lag(consumer: Consumer, event_types: Sequence[str]) -> list[PartitionLag]:
    # All topics, because asking for one by name makes it in a cluster that makes topics on demand.
    known = consumer.list_topics(timeout=ANSWER_SECONDS).topics
    topics = [topic for topic in map(topic_of, event_types) if topic in known]
    places = [TopicPartition(topic, partition) for topic in topics for partition in sorted(known[topic].partitions)]
    lags = []
    for place in consumer.committed(places, timeout=ANSWER_SECONDS) if places else ():
        oldest, end = consumer.get_watermark_offsets(place, timeout=ANSWER_SECONDS)
        committed = place.offset if place.offset >= 0 else None
        lags.append(_lag(place.topic, place.partition, committed, oldest=oldest, end=end))
    return lags


def _lag(topic: str, partition: int, committed: int | None, *, oldest: int, end: int) -> PartitionLag:
    goes_on_at = committed if committed is not None and oldest <= committed <= end else oldest
    return PartitionLag(topic, partition, committed, end, end - goes_on_at)


def _received(message: Message) -> Received:
    topic, partition, offset, payload = message.topic(), message.partition(), message.offset(), message.value()
    if topic is None or partition is None or offset is None:
        raise KafkaAway("A message without a position.")
    return Received(topic, partition, offset, payload or b"", _as_bytes(message.key()), _headers(message))


def _headers(message: Message) -> tuple[tuple[str, bytes | None], ...]:
    headers = message.headers() or []
    pairs = headers.items() if isinstance(headers, dict) else headers
    return tuple((name, _as_bytes(value)) for name, value in pairs)


def _as_bytes(value: str | bytes | None) -> bytes | None:
    # Off the wire it is always bytes; the library's types allow what a sender may give, too.
    return value.encode() if isinstance(value, str) else value


def _log_commit(error: KafkaError | None, offsets: Sequence[TopicPartition]) -> None:
    if error is not None:
        library_logger.warning("Consumer: offsets were not committed: %s", error.str())
