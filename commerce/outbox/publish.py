"""Publishing events: the CloudEvents envelope, event ids, and the outbox rows in the transaction of the fact."""

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
    """One row per event and destination, and one for each active subscription to the event's type.

    After the commit the dispatchers of the destinations are woken, once each.
    """

    # The statement that writes the messages reads the subscriptions, so no cached list can be stale. The named
    # destinations come first, in the order of the events.
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
    """The id of an event: `type:source id:microseconds since 1970`.

    After a restore from a backup the database assigns the same source ids again; the time keeps event ids unique.
    """
    return f"{event_type}:{source_id}:{(occurred_at - _EPOCH) // _MICROSECOND}"


def event_id_sql(event_type: str, source_id: str, occurred_at: str) -> str:
    """`event_id` as SQL, for two columns."""
    return f"('{event_type}:' || {source_id} || ':' || trunc(extract(epoch FROM {occurred_at}) * 1000000))"


def short_event_id(event_type: str, source_id: int) -> str:
    """The former form of event ids, without the time. Older messages and records still have it."""
    return f"{event_type}:{source_id}"


def short_event_id_sql(event_type: str, source_id: str) -> str:
    """`short_event_id` as SQL, for a column."""
    return f"('{event_type}:' || {source_id})"


@dataclass(frozen=True)
class Event:
    """A committed fact, as a CloudEvent 1.0."""

    type: str
    """The event type, such as `order-completed`."""
    source_id: int
    """The id of the row that the event is about: ledger entry, user coupon, order."""
    aggregate_type: str
    user_id: int
    """The user that the event belongs to. The message key: events of one user keep their order."""
    occurred_at: datetime
    """The time in the row of the fact. A part of the event's id."""
    data: dict[str, Any]

    @cached_property
    def id(self) -> str:
        """The same for every delivery of this event, so that receivers can drop duplicates."""
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
    """Write one message per destination of `event`; they are sent once the locks are released."""
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
