"""The Kafka consumer of the shop: messages, offsets and lag."""

import time
from collections.abc import Sequence
from dataclasses import dataclass

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from commerce.outbox.sinks.kafka import KafkaUnavailable, ask_for_topics, client_settings, library_logger, topic_of

ANSWER_SECONDS = 5.0
"""Time limit of one request about a group."""
SESSION_MS = 6_000
"""Session timeout: without heartbeats for this long, a consumer's partitions go to others."""
MEMBERSHIP_SECONDS = 20.0
"""If a consumer is not a member of its group for this long, its client is replaced."""
LEAVE_SECONDS = 5.0
"""Time limit for leaving the group."""


@dataclass(frozen=True)
class Received:
    """One message with its position in the topic."""

    topic: str
    partition: int
    offset: int
    payload: bytes
    key: bytes | None = None
    headers: tuple[tuple[str, bytes | None], ...] = ()

    @property
    def position(self) -> str:
        """Topic, partition and offset, for operators."""
        return f"{self.topic}[{self.partition}]@{self.offset}"


@dataclass(frozen=True)
class PartitionLag:
    """The progress of a consumer group in one partition.

    Attributes:
        committed: the offset from which the group continues; None before its first commit.
        end: the offset of the next message.
        lag: messages that the group has not read. If its offset no longer exists, because messages expired or the topic
            was recreated, the group continues from the oldest existing message.
    """

    topic: str
    partition: int
    committed: int | None
    end: int
    lag: int


class KafkaSource:
    """Messages of some event types, each read at least once by each consumer group.

    Only `settle` moves offsets: messages that were taken and not settled are read again after a crash or a rebalance.
    """

    def __init__(self, *, group: str, event_types: Sequence[str]) -> None:
        self.group = self._group = group
        self._topics = [topic_of(event_type) for event_type in event_types]
        ask_for_topics(self._topics)
        self._next_offsets: dict[tuple[str, int], int] = {}
        self._consumer = self._joining()

    def take(self, *, limit: int, wait_seconds: float) -> list[Received]:
        """Up to `limit` messages, after at most `wait_seconds`; none while Kafka is unavailable.

        Raises KafkaUnavailable if the client has failed for good and a new one is needed.
        """
        self._replace_lost_client()
        received = []
        for message in self._consumer.consume(num_messages=limit, timeout=wait_seconds):
            error = message.error()
            if error is None:
                received.append(_received(message))
            elif error.code() == KafkaError._FATAL:
                # `error.fatal()` is never true for an error that comes as a message.
                raise KafkaUnavailable(error.str())
            else:
                library_logger.warning("Consumer: %s: %s", error.name(), error.str())
        return received

    def settle(self, received: Sequence[Received]) -> None:
        """Commit the offsets of these messages. If that fails, they are only read again."""
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
        """The lag of this consumer in its partitions, from local knowledge, without a request to the broker.

        A partition without any message so far is left out, because its end is unknown.
        """
        lags = []
        for assigned in self._consumer.assignment():
            oldest, end = self._consumer.get_watermark_offsets(assigned, cached=True)
            settled = self._next_offsets.get((assigned.topic, assigned.partition))
            if end >= 0 and settled is not None:
                lags.append(_lag(assigned.topic, assigned.partition, settled, oldest=max(oldest, 0), end=end))
        return sorted(lags, key=lambda each: (each.topic, each.partition))

    def _forget(self, _consumer: Consumer, revoked: Sequence[TopicPartition]) -> None:
        """Forget revoked partitions, whose progress is unknown here from now on."""
        for place in revoked:
            self._next_offsets.pop((place.topic, place.partition), None)

    def _joining(self) -> Consumer:
        """A new client that is joining the group."""
        self._lost_at: float | None = None
        consumer = Consumer(
            {
                **client_settings(),
                "client.id": self._group,
                "group.id": self._group,
                "enable.auto.commit": False,
                "auto.offset.reset": "earliest",
                # A dead consumer is detected within seconds, and its partitions go to others.
                "session.timeout.ms": SESSION_MS,
                "heartbeat.interval.ms": SESSION_MS // 4,
                # The maximum time for which a new member waits for a lost one.
                "max.poll.interval.ms": 60_000,
                # A topic may be created later than this consumer.
                "topic.metadata.refresh.interval.ms": 2_000,
                "on_commit": _log_commit,
            }
        )
        consumer.subscribe(self._topics, on_revoke=self._forget)
        return consumer

    def _replace_lost_client(self) -> None:
        """Replace a client that cannot rejoin its group.

        After a broker was silent for longer than the session timeout, librdkafka 2.16 can lose its coordinator and then
        wait forever for a connection that it never opens; only a new client recovers.
        """
        now = time.monotonic()
        if self._consumer.memberid():
            self._lost_at = None
        elif self._lost_at is None:
            # Counted from now, not from when it was last a member: a process that was suspended, or waited for its
            # database, would otherwise replace a client that is rejoining, and the group would wait for the old one.
            self._lost_at = now
        elif now - self._lost_at > MEMBERSHIP_SECONDS:
            library_logger.warning("Consumer: without its group for %.0f s; a new client joins", MEMBERSHIP_SECONDS)
            self._next_offsets.clear()
            # The old client is not closed: closing waits for the coordinator that it cannot find.
            self._consumer = self._joining()

    def close(self) -> None:
        """Leave the group, so that others take over at once; takes at most `LEAVE_SECONDS`.

        Unsubscribes first, and closes only a client that has left: during a rebalance `close` of librdkafka 2.16 can
        wait forever while holding the GIL. A client that is still a member is abandoned without closing it; the group
        removes it after the session timeout.
        """
        try:
            self._consumer.unsubscribe()
        except KafkaException:
            # The cluster has removed this client already.
            return
        deadline = time.monotonic() + LEAVE_SECONDS
        while self._consumer.memberid():
            if time.monotonic() > deadline:
                return
            self._consumer.consume(num_messages=500, timeout=0.05)
        self._consumer.close()


def group_lag(*, group: str, event_types: Sequence[str]) -> list[PartitionLag]:
    """The progress of a consumer group in every partition of the topics, read from the cluster without joining.

    Missing topics are left out. Raises KafkaUnavailable if the cluster does not respond.
    """
    consumer = Consumer({**client_settings(), "client.id": f"{group}-lag", "group.id": group})
    try:
        return _group_lag(consumer, event_types)
    except KafkaException as error:
        raise KafkaUnavailable(error.args[0].str()) from error
    finally:
        consumer.close()


def _group_lag(consumer: Consumer, event_types: Sequence[str]) -> list[PartitionLag]:
    # All topics, because requesting one by name would create it in a cluster with auto-creation.
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
        raise KafkaUnavailable("A message without a position.")
    return Received(topic, partition, offset, payload or b"", _as_bytes(message.key()), _headers(message))


def _headers(message: Message) -> tuple[tuple[str, bytes | None], ...]:
    headers = message.headers() or []
    pairs = headers.items() if isinstance(headers, dict) else headers
    return tuple((name, _as_bytes(value)) for name, value in pairs)


def _as_bytes(value: str | bytes | None) -> bytes | None:
    # A received value is always bytes; the library's types also allow what a sender may pass.
    return value.encode() if isinstance(value, str) else value


def _log_commit(error: KafkaError | None, offsets: Sequence[TopicPartition]) -> None:
    if error is not None:
        library_logger.warning("Consumer: offsets were not committed: %s", error.str())
