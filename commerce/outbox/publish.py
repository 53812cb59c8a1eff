"""Telling the world about a fact, in the transaction that makes it one.

Owns the CloudEvents envelope and the outbox rows; never opens a connection to anyone.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson
from django.conf import settings
from django.utils import timezone

from commerce.core.transaction import Transaction
from commerce.outbox.hand_over import after_release
from commerce.outbox.routes import destinations_of

INSERT_MESSAGES = """
    INSERT INTO outbox_message (event_id, type, aggregate_type, aggregate_id, destination, payload)
    SELECT %s, %s, %s, %s, destination, %s FROM unnest(%s::text[]) AS destination
"""


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
                "time": timezone.localtime(self.occurred_at).isoformat(),
                "datacontenttype": "application/json",
                "data": self.data,
            }
        )


def publish(unit: Transaction, event: Event) -> None:
    """Write one message per destination of `event`; they leave after the locks of `unit` are released."""
    destinations = destinations_of(event.type)
    unit.append(
        INSERT_MESSAGES,
        (
            event.id,
            event.type,
            event.aggregate_type,
            str(event.user_id),
            event.as_cloud_event().decode(),
            list(destinations),
        ),
    )
    unit.on_released(lambda: after_release(event.id, destinations))
