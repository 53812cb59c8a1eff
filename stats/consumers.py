"""Where order events come in: from Kafka in batches, or from the outbox itself.

Owns the loop, and what becomes of messages that cannot be counted; the counting is the services'.
"""

import logging
from collections.abc import Sequence
from threading import Event
from typing import ClassVar

from django.db import DatabaseError, DataError, IntegrityError, InterfaceError, connection

from commerce.core import metrics
from commerce.outbox.sinks.base import Failure, Message, Outcomes
from commerce.outbox.sinks.kafka_source import KafkaSource
from stats import services
from stats.errors import UnreadableEvent
from stats.events import OrderEvent, read_order_event

logger = logging.getLogger(__name__)

BATCH_SIZE = 500
WAIT_SECONDS = 0.2
_FIRST_RETRY_SECONDS = 0.2
_LONGEST_RETRY_SECONDS = 5.0


class InlineSink:
    """Counts without Kafka: a destination of the outbox like any other (`PRODUCT_STATS_MODE=inline`)."""

    keeps_order: ClassVar[bool] = False
    parks: ClassVar[bool] = True
    largest_batch: ClassVar[int] = BATCH_SIZE
    longest_wait_seconds: ClassVar[float] = 60.0

    def deliver(self, messages: Sequence[Message]) -> Outcomes:
        """Count every message. One that cannot be counted is refused. Raises django.db.Error as the outbox does."""
        troubles = count([(message.event_id, message.payload) for message in messages])
        return {
            message.id: Failure(troubles[message.event_id], refused=True) if message.event_id in troubles else None
            for message in messages
        }


def consume_orders(source: KafkaSource, *, stopping: Event) -> None:
    """Count what `source` brings, batch by batch, until `stopping`; a batch in hand is finished.

    Offsets are committed after the batch is, so a crash in between brings it back, to be counted as repeats.
    Raises KafkaAway where the source cannot go on.
    """
    while not stopping.is_set():
        received = source.take(limit=BATCH_SIZE, wait_seconds=WAIT_SECONDS)
        if not received:
            continue
        if _counted([(message.position, message.payload) for message in received], stopping):
            source.settle(received)


def count(payloads: Sequence[tuple[str, bytes]]) -> dict[str, str]:
    """Count a batch of (name, payload), and return by name why some could not be counted. These never stop the rest.

    Raises django.db.Error where the database is away; nothing is counted then.
    """
    troubles: dict[str, str] = {}
    events: dict[str, OrderEvent] = {}
    for name, payload in payloads:
        try:
            events[name] = read_order_event(payload)
        except UnreadableEvent as unreadable:
            troubles[name] = unreadable.reason
    troubles |= _count_readable(events)
    for name, reason in troubles.items():
        logger.error("%s cannot be counted: %s", name, reason)
    metrics.STATS_EVENTS.labels("unreadable").inc(len(troubles))
    return troubles


def _count_readable(events: dict[str, OrderEvent]) -> dict[str, str]:
    if not events:
        return {}
    try:
        _count_together(list(events.values()))
    except (IntegrityError, DataError) as error:
        # One of them does not fit the tables, such as a product that never existed. Alone, each shows itself.
        if len(events) == 1:
            return dict.fromkeys(events, str(error))
        troubles: dict[str, str] = {}
        for name, event in events.items():
            troubles |= _count_readable({name: event})
        return troubles
    return {}


def _count_together(events: Sequence[OrderEvent]) -> None:
    counted = services.count_order_events(events=events)
    metrics.STATS_EVENTS.labels("counted").inc(counted)
    metrics.STATS_EVENTS.labels("repeated").inc(len(events) - counted)


def _counted(payloads: Sequence[tuple[str, bytes]], stopping: Event) -> bool:
    """Try until the database takes it; False when `stopping` came first."""
    wait_seconds = _FIRST_RETRY_SECONDS
    while True:
        try:
            count(payloads)
        except (DatabaseError, InterfaceError) as error:
            logger.warning("The batch could not be counted, next try in %.1f s: %s", wait_seconds, error)
            connection.close()
            if stopping.wait(wait_seconds):
                return False
            wait_seconds = min(wait_seconds * 2, _LONGEST_RETRY_SECONDS)
        else:
            return True
