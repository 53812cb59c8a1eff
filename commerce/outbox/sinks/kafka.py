"""The sink of Kafka: messages to topics, each acknowledged by the broker."""

import logging
import os
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from itertools import takewhile
from typing import Any, ClassVar

from confluent_kafka import KafkaError, KafkaException, Producer
from confluent_kafka import Message as KafkaRecord
from django.conf import settings

from commerce.core.tracing import TRACEPARENT
from commerce.outbox.breaker import Breaker
from commerce.outbox.sinks.base import Failure, Message, Outcomes

logger = logging.getLogger(__name__)

CONTENT_TYPE: list[tuple[str, str | bytes | None]] = [("content-type", b"application/cloudevents+json")]
DELIVERY_SECONDS = 5.0
"""How long a batch waits for its acknowledgements."""
TOPIC_SECONDS = 2.0
"""How long to wait for an unknown topic, which the cluster may be creating."""
REQUEST_BYTES = 100_000
"""Size of a produce request. No topic may accept less (`max.message.bytes`; the default is ten times as much)."""
_POLL_SECONDS = 0.1
_RETRY_SECONDS = 0.05

# The broker will never accept this message.
_REFUSED = {
    KafkaError.MSG_SIZE_TOO_LARGE,
    KafkaError.INVALID_MSG,
    KafkaError.INVALID_MSG_SIZE,
    KafkaError.INVALID_RECORD,
}
# The broker works, but not for this topic.
_TOPIC_TROUBLE = {
    KafkaError.UNKNOWN_TOPIC_OR_PART,
    KafkaError._UNKNOWN_TOPIC,
    KafkaError._UNKNOWN_PARTITION,
    KafkaError.TOPIC_AUTHORIZATION_FAILED,
    KafkaError.TOPIC_EXCEPTION,
    KafkaError.POLICY_VIOLATION,
}


class KafkaUnavailable(Exception):
    """No broker responded in time."""


class _Repeats(logging.Filter):
    """Throttles repeated log lines of the client library, of which an outage causes many per second."""

    _SECONDS = 30.0

    def __init__(self) -> None:
        super().__init__()
        self._last: dict[str, float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        # Compared without the variable rest of the line: duration and number of attempts.
        line = record.getMessage().partition(" (after ")[0]
        now = time.monotonic()
        if now - self._last.get(line, -self._SECONDS) < self._SECONDS:
            return False
        self._last = {known: at for known, at in self._last.items() if now - at < self._SECONDS} | {line: now}
        return True


library_logger = logging.getLogger("commerce.kafka")
library_logger.addFilter(_Repeats())


def client_settings() -> dict[str, Any]:
    """Settings common to all clients. Log lines go to the shop's logging, not to raw stderr."""
    return {
        "bootstrap.servers": settings.KAFKA_BOOTSTRAP_SERVERS,
        **settings.KAFKA_SECURITY,
        "logger": library_logger,
        "reconnect.backoff.max.ms": 1_000,
        "socket.keepalive.enable": True,
        # Brokers close idle connections; this is not worth a log line.
        "log.connection.close": False,
    }


def topic_of(event_type: str) -> str:
    return f"{settings.KAFKA_TOPIC_PREFIX}{event_type}"


def ping(*, timeout_seconds: float) -> None:
    """Return once a broker responds. Raises KafkaUnavailable if none does within `timeout_seconds`."""
    _clients.current().ping(timeout_seconds)


def ask_for_topics(topics: Sequence[str]) -> None:
    """Request the metadata of topics before they are needed, so that a cluster with auto-creation creates them now.

    Best effort, at most `TOPIC_SECONDS` long. A consumer whose topics exist starts at once; otherwise it discovers them
    some seconds after their first message.
    """
    try:
        missing = _clients.current().missing_topics(set(topics), time.monotonic() + TOPIC_SECONDS)
    except KafkaUnavailable as error:
        library_logger.warning("The topics were not asked for: %s", error)
        return
    for topic, reason in missing.items():
        library_logger.warning("Topic %s: %s", topic, reason)


class KafkaSink:
    """Sends each event to the topic of its type, keyed by its user."""

    keeps_order: ClassVar[bool] = True
    # An outage of Kafka never parks messages. A message that a broker refuses is parked at once.
    parks: ClassVar[bool] = False
    largest_batch: ClassVar[int] = 10_000
    # Short, so that a recovered broker is used within seconds.
    longest_wait_seconds: ClassVar[float] = 5.0
    # No breaker: probing the cluster is cheap, and the dispatcher's waits are short.
    breaker: Breaker | None = None

    def deliver(self, messages: Sequence[Message]) -> Outcomes:
        """Send all messages and wait for their acknowledgements, at most `DELIVERY_SECONDS`.

        Messages without one by then fail, and the producer is discarded with everything in its queue, so that no later
        message with the same key overtakes a failed one. Messages for which the queue had no room by then, and all
        after them, were not tried.
        """
        client = _clients.current()
        deadline = time.monotonic() + DELIVERY_SECONDS
        try:
            missing = client.missing_topics({topic_of(message.type) for message in messages}, deadline)
        except KafkaUnavailable as error:
            failure = Failure(str(error), unavailable=True)
            return {message.id: failure for message in messages}
        outcomes, sendable = _without_missing(messages, missing)
        tried = list(takewhile(lambda message: client.enqueue(message, outcomes, deadline), sendable))
        client.collect(lambda: all(message.id in outcomes for message in tried), deadline)
        for message in tried:
            outcomes.setdefault(message.id, Failure("No acknowledgement in time", unavailable=True))
        if any(outcome is not None and outcome.unavailable for outcome in outcomes.values()):
            _clients.discard(client)
        return outcomes


class _Client:
    """One producer and the topics that it has found."""

    def __init__(self) -> None:
        self._topics: set[str] = set()
        self._producer = Producer(
            {
                **client_settings(),
                "client.id": "commerce-outbox",
                "acks": "all",
                "enable.idempotence": True,
                "partitioner": "murmur2_random",  # the same partition for a key as in Java clients
                "linger.ms": 2,
                "compression.type": "lz4",
                # A broker accepts or refuses the messages of a request together. With small requests, a message that is
                # too large for its topic is alone in its request.
                "batch.size": REQUEST_BYTES,
                # Longer than a batch waits, so that a late batch ends with a discarded producer, never with a gap.
                "message.timeout.ms": int(DELIVERY_SECONDS * 4_000),
                "topic.metadata.propagation.max.ms": int(TOPIC_SECONDS * 1_000),
            }
        )

    def ping(self, timeout_seconds: float) -> None:
        self._producer.poll(0)
        try:
            self._producer.list_topics(timeout=timeout_seconds)
        except KafkaException as error:
            raise KafkaUnavailable(error.args[0].str()) from error

    def missing_topics(self, topics: set[str], deadline: float) -> dict[str, str]:
        """The topics that the cluster does not have, each with its reason. Raises KafkaUnavailable."""
        # With one common wait: sequential waits would use up the time of the other messages.
        latest = min(deadline, time.monotonic() + TOPIC_SECONDS)
        unknown = topics - self._topics
        while True:
            missing = {topic: reason for topic in sorted(unknown) if (reason := self._look_up(topic, latest))}
            self._topics |= unknown - missing.keys()
            unknown = set(missing)
            if not missing or time.monotonic() + _RETRY_SECONDS > latest:
                return missing
            time.sleep(_RETRY_SECONDS)

    def enqueue(self, message: Message, outcomes: dict[int, Failure | None], deadline: float) -> bool:
        """Add one message to the producer's queue; its outcome is recorded on the broker's response, or at once.

        False: the queue was full until the deadline, and the message is not in it.
        """
        while True:
            try:
                self._producer.produce(
                    topic_of(message.type),
                    key=message.key,
                    value=message.payload,
                    headers=_headers(message),
                    on_delivery=partial(self._note, outcomes, message),
                )
            except BufferError:
                # The producer's queue is full; polling for delivery reports empties it.
                if time.monotonic() > deadline:
                    return False
                self._producer.poll(_POLL_SECONDS)
            except KafkaException as error:
                outcomes[message.id] = _failure(error.args[0])
                return True
            else:
                return True

    def collect(self, done: Callable[[], bool], deadline: float) -> None:
        """Poll for delivery reports until `done` or the deadline."""
        while not done() and time.monotonic() < deadline:
            self._producer.poll(_POLL_SECONDS)

    def purge(self) -> None:
        """Drop everything that is still in the producer's queue."""
        self._producer.purge()
        self._producer.poll(0)

    def _note(
        self, outcomes: dict[int, Failure | None], message: Message, error: KafkaError | None, record: KafkaRecord
    ) -> None:
        outcomes[message.id] = None if error is None else _failure(error)
        if error is not None and error.code() in _TOPIC_TROUBLE:
            self._topics.discard(topic_of(message.type))

    def _look_up(self, topic: str, latest: float) -> str:
        """Request one topic's metadata; return why it is missing, or None. Raises KafkaUnavailable."""
        try:
            found = self._producer.list_topics(topic, timeout=max(_POLL_SECONDS, latest - time.monotonic()))
        except KafkaException as error:
            raise KafkaUnavailable(error.args[0].str()) from error
        trouble = found.topics[topic].error
        return "" if trouble is None else str(trouble)


class _Clients:
    """One client per process and cluster, because threads and sockets do not survive a fork."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._by_process: dict[tuple[int, str], _Client] = {}
        os.register_at_fork(after_in_child=self._after_fork)

    def current(self) -> _Client:
        key = (os.getpid(), settings.KAFKA_BOOTSTRAP_SERVERS)
        with self._guard:
            client = self._by_process.get(key)
            if client is None:
                client = self._by_process[key] = _Client()
            return client

    def discard(self, client: _Client) -> None:
        """Discard a client with everything it has not sent; the next call creates a new one."""
        with self._guard:
            self._by_process = {key: kept for key, kept in self._by_process.items() if kept is not client}
        client.purge()

    def _after_fork(self) -> None:
        # The parent's clients stay in the table: destroying one here would wait for threads that do not exist.
        self._guard = threading.Lock()


_clients = _Clients()


def _headers(message: Message) -> list[tuple[str, str | bytes | None]]:
    if message.traceparent is None:
        return CONTENT_TYPE
    return [*CONTENT_TYPE, (TRACEPARENT, message.traceparent.encode())]


def _without_missing(
    messages: Sequence[Message], missing: Mapping[str, str]
) -> tuple[dict[int, Failure | None], list[Message]]:
    """The messages whose topic is missing, and those that can be sent, without ones behind a missing one's key."""
    outcomes: dict[int, Failure | None] = {}
    sendable: list[Message] = []
    held_back: set[str] = set()
    for message in messages:
        topic = topic_of(message.type)
        if message.key in held_back:
            continue
        if topic in missing:
            held_back.add(message.key)
            outcomes[message.id] = Failure(f"Topic {topic}: {missing[topic]}")
        else:
            sendable.append(message)
    return outcomes, sendable


def _failure(error: KafkaError) -> Failure:
    code = error.code()
    refused = code in _REFUSED
    return Failure(
        f"{error.name()}: {error.str()}", refused=refused, unavailable=not refused and code not in _TOPIC_TROUBLE
    )
