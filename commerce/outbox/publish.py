"""Telling the world about a fact, in the transaction that makes it one.

Owns the CloudEvents envelope, the ids of events and the outbox rows; never opens a connection to anyone.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property, partial
from typing import Any

import orjson
from django.conf import settings

from commerce.core import tracing
from commerce.core.times import local_time
from commerce.core.transaction import NewRows, Transaction
from commerce.outbox.local_dispatch import deliver_in_request, delivers_in_request, wake
from commerce.outbox.routes import WEBHOOKS, destinations_of


class OutboxMessages(NewRows):
    """One row per event and destination, and one for each active subscription to its type.

    Afterwards the dispatchers of the destinations are woken, once each.
    """

    # Who subscribes is read by the statement that writes the messages: no list is kept anywhere that could be old. The
    # named destinations come first, in the order of the events.
    INSERT = f"""
        INSERT INTO outbox_message
            (event_id, type, aggregate_type, aggregate_id, destination, payload, traceparent, subscription_id)
        WITH added AS MATERIALIZED (
            SELECT * FROM jsonb_to_recordset(%s::jsonb) AS added (
                event_id text, type text, aggregate_type text, aggregate_id text, destinations text[], payload text,
                traceparent text
            )
        )
        SELECT event_id, type, aggregate_type, aggregate_id, destination, payload, traceparent, NULL::bigint
        FROM added CROSS JOIN unnest(destinations) AS destination
        UNION ALL
        SELECT event_id, type, aggregate_type, aggregate_id, '{WEBHOOKS}', payload, traceparent, subscription.id
        FROM added JOIN webhook_subscription AS subscription ON added.type = ANY(subscription.event_types)
        WHERE subscription.is_active
    """  # noqa: S608  # our own text

    def released(self) -> None:
        destinations = {destination for row in self.rows for destination in row["destinations"]}
        wake([*(name for name in destinations if not delivers_in_request(name)), WEBHOOKS])


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def event_id(event_type: str, source_id: int, occurred_at: datetime) -> str:
    """The id of a fact's event: `type:number:microseconds since 1970`.

    A restored database gives numbers again that were given before. The time keeps the ids of the two facts apart.
    """
    return f"{event_type}:{source_id}:{(occurred_at - _EPOCH) // _MICROSECOND}"


def event_id_sql(event_type: str, source_id: str, occurred_at: str) -> str:
    """`event_id` in SQL, of two columns."""
    return f"('{event_type}:' || {source_id} || ':' || trunc(extract(epoch FROM {occurred_at}) * 1000000))"


def short_event_id(event_type: str, source_id: int) -> str:
    """The id that events had before the time was part of it. Messages and records of then still bear it."""
    return f"{event_type}:{source_id}"


def short_event_id_sql(event_type: str, source_id: str) -> str:
    """`short_event_id` in SQL, of a column."""
    return f"('{event_type}:' || {source_id})"


@dataclass(frozen=True)
class Event:
    """A committed fact, as a CloudEvent 1.0."""

    type: str
    """The name in the contract, such as `order-completed`."""
    source_id: int
    """What the fact is about: the ledger row, the user coupon, the order."""
    aggregate_type: str
    user_id: int
    """Whose fact it is. The key of the message: one user's events keep their order."""
    occurred_at: datetime
    """As the row of the fact has it: it is part of the event's id."""
    data: dict[str, Any]

    @cached_property
    def id(self) -> str:
        """The same for every send of this fact, so that receivers can drop repeats."""
        return event_id(self.type, self.source_id, self.occurred_at)

    def as_cloud_event(self) -> bytes:
        return orjson.dumps(
            {
                "specversion": "1.0",
                "id": self.id,
                "source": settings.EVENT_SOURCE,
                "type": self.type,
                "subject": f"{self.aggregate_type}/{self.source_id}",
                "time": local_time(self.occurred_at),
                "datacontenttype": "application/json",
                "data": self.data,
            }
        )


def publish(transaction: Transaction, event: Event) -> None:
    """Write one message per destination of `event`; they leave once the locks are released."""
    trace = {"traceparent": tracing.traceparent()} if tracing.on else {}
    destinations = destinations_of(event.type)
    transaction[OutboxMessages].add(
        {
            **trace,
            "event_id": event.id,
            "type": event.type,
            "aggregate_type": event.aggregate_type,
            "aggregate_id": str(event.user_id),
            "destinations": destinations,
            "payload": event.as_cloud_event().decode(),
        }
    )
    if any(map(delivers_in_request, destinations)):
        transaction.afterwards(partial(deliver_in_request, event.id))
