"""Telling the world about a fact, in the transaction that makes it one.

Owns the CloudEvents envelope and the outbox rows; never opens a connection to anyone.
"""

from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any

import orjson
from django.conf import settings

from commerce.core.times import local_time
from commerce.core.transaction import NewRows, Transaction
from commerce.outbox.hand_over import deliver_in_request, delivers_in_request, wake
from commerce.outbox.routes import destinations_of


class OutboxMessages(NewRows):
    """One row per event and destination. Afterwards the dispatchers of the destinations are woken, once each."""

    INSERT = """
        INSERT INTO outbox_message (event_id, type, aggregate_type, aggregate_id, destination, payload)
        SELECT * FROM jsonb_to_recordset(%s::jsonb) AS added (
            event_id text, type text, aggregate_type text, aggregate_id text, destination text, payload text
        )
    """

    def released(self) -> None:
        destinations = {row["destination"] for row in self.rows}
        wake([destination for destination in destinations if not delivers_in_request(destination)])


@dataclass(frozen=True)
class Event:
    """A committed fact, as CloudEvents 1.0 tells it."""

    type: str
    """The name in the contract, such as `order-completed`."""
    source_id: int
    """What the fact is about: the ledger row, the user coupon, the order. With `type` it makes the event's id."""
    aggregate_type: str
    user_id: int
    """Whose fact it is. The key of the message: one user's events keep their order."""
    occurred_at: datetime
    data: dict[str, Any]

    @property
    def id(self) -> str:
        """The same for every send of this fact, so that receivers can drop repeats."""
        return f"{self.type}:{self.source_id}"

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
    payload = event.as_cloud_event().decode()
    for destination in destinations_of(event.type):
        transaction[OutboxMessages].add(
            {
                "event_id": event.id,
                "type": event.type,
                "aggregate_type": event.aggregate_type,
                "aggregate_id": str(event.user_id),
                "destination": destination,
                "payload": payload,
            }
        )
        if delivers_in_request(destination):
            transaction.afterwards(partial(deliver_in_request, event.id))
