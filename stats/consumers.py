"""The two ways in which order events are received: in batches from Kafka, or directly from the outbox.

Messages that cannot be counted become dead letters. `stats.services` counts.
"""

import logging
import time
from collections.abc import Sequence
from threading import Event
from typing import ClassVar

from django.db import DatabaseError, InterfaceError, connection

from commerce.core import metrics, tracing
from commerce.outbox import traced
from commerce.outbox.breaker import Breaker
from commerce.outbox.sinks.base import Failure, Message, Outcomes
from commerce.outbox.sinks.kafka_source import KafkaSource, Received
from stats import operations, services
from stats.models import DeadLetter
from stats.services import Counted, Reasons

logger = logging.getLogger(__name__)

BATCH_SIZE = 500
WAIT_SECONDS = 0.2
REPORT_SECONDS = 10.0
_FIRST_RETRY_SECONDS = 0.2
_LONGEST_RETRY_SECONDS = 5.0


class InlineSink:
    """An outbox destination that counts without Kafka (`PRODUCT_STATS_MODE=inline`)."""

    keeps_order: ClassVar[bool] = False
    parks: ClassVar[bool] = True
    largest_batch: ClassVar[int] = BATCH_SIZE
    longest_wait_seconds: ClassVar[float] = 60.0
    breaker: Breaker | None = None

    def deliver(self, messages: Sequence[Message]) -> Outcomes:
        """Count every message; refuse those that cannot be counted. Raises django.db.Error."""
        payloads = {message.event_id: message.payload for message in messages}
        left_out = services.count_messages(payloads=payloads).left_out
        return {
            message.id: Failure(left_out[message.event_id], refused=True) if message.event_id in left_out else None
            for message in messages
        }


class Progress:
    """Throughput and lag of a consumer, reported every few seconds: to the log while it has work, and always to
    Prometheus.
    """

    def __init__(self, source: KafkaSource, *, group: str, every_seconds: float = REPORT_SECONDS) -> None:
        self._source = source
        self._group = group
        self._every_seconds = every_seconds
        self._since = time.monotonic()
        self._messages = 0
        self._places: set[tuple[str, int]] = set()

    def went_through(self, messages: int) -> None:
        self._messages += messages

    def report(self) -> None:
        """Report if the interval has passed."""
        elapsed_seconds = time.monotonic() - self._since
        if elapsed_seconds < self._every_seconds:
            return
        rate = self._messages / elapsed_seconds
        lags = {(each.topic, each.partition): each.lag for each in self._source.lag()}
        # Partitions now assigned to another consumer are reported as 0, so that the sum over all consumers is right.
        for (topic, partition), lag in (dict.fromkeys(self._places, 0) | lags).items():
            metrics.STATS_LAG.labels(topic, partition).set(lag)
        metrics.STATS_RATE.labels(self._group).set(rate)
        if self._messages or any(lags.values()):
            behind = ", ".join(f"{topic}[{partition}] {lag}" for (topic, partition), lag in lags.items() if lag)
            logger.info(
                "%d messages in %.1f s (%.0f/s), %s", self._messages, elapsed_seconds, rate, behind or "none waiting"
            )
        self._places |= lags.keys()
        self._since, self._messages = time.monotonic(), 0


def consume_orders(source: KafkaSource, *, stopping: Event, progress: Progress | None = None) -> None:
    """Count the messages of `source` batch by batch until `stopping` returns true; the current batch is finished.

    Offsets are committed after the batch is counted, so after a crash it is read again and its events are repeats.
    `progress` is updated after each batch. Raises KafkaUnavailable if the source fails.
    """
    while not stopping.is_set():
        received = source.take(limit=BATCH_SIZE, wait_seconds=WAIT_SECONDS)
        if not received:
            is_counted = False
        elif tracing.on:
            with traced.consumed(received, group=source.group):
                is_counted = _counted(received, stopping, progress)
        else:
            is_counted = _counted(received, stopping, progress)
        if is_counted:
            source.settle(received)
            if progress:
                progress.went_through(len(received))
        if progress:
            progress.report()


def count(received: Sequence[Received]) -> Counted:
    """Count messages from Kafka; those that cannot be counted become dead letters in the same transaction.

    Raises django.db.Error if the database is unavailable; nothing is counted or parked then.
    """
    by_position = {message.position: message for message in received}

    def park(reasons: Reasons) -> None:
        operations.park([_dead_letter(by_position[position], reason) for position, reason in reasons.items()])

    return services.count_messages(
        payloads={position: message.payload for position, message in by_position.items()}, park=park
    )


def _counted(received: Sequence[Received], stopping: Event, progress: Progress | None = None) -> bool:
    """Retry until the database accepts the batch; False if `stopping` returned true first."""
    wait_seconds = _FIRST_RETRY_SECONDS
    while True:
        try:
            count(received)
        except (DatabaseError, InterfaceError) as error:
            logger.warning("The batch could not be counted, next try in %.1f s: %s", wait_seconds, error)
            connection.close()
            if progress:
                progress.report()
            if stopping.wait(wait_seconds):
                return False
            wait_seconds = min(wait_seconds * 2, _LONGEST_RETRY_SECONDS)
        else:
            return True


def _dead_letter(message: Received, reason: str) -> DeadLetter:
    return DeadLetter(
        topic=message.topic,
        partition=message.partition,
        offset=message.offset,
        key=message.key,
        payload=message.payload,
        headers=[_header(name, value) for name, value in message.headers],
        reason=reason,
    )


def _header(name: str, value: bytes | None) -> dict[str, str | None]:
    if value is None:
        return {"name": name, "text": None}
    try:
        text = value.decode()
    except UnicodeDecodeError:
        text = "\0"
    # Text that PostgreSQL's JSON cannot store is written in hex, like bytes that are not text.
    return {"name": name, "hex": value.hex()} if "\0" in text else {"name": name, "text": text}
