"""How much the shop owes to whom.

Owns the counts; never changes a message.
"""

from dataclasses import dataclass

from commerce.core import sql
from commerce.outbox.routes import is_switched_on
from commerce.outbox.sinks.base import known_destinations

COUNTS = """
    SELECT destination,
           count(*) FILTER (WHERE sent_at IS NULL AND parked_at IS NULL),
           count(*) FILTER (WHERE parked_at IS NOT NULL AND sent_at IS NULL),
           count(*) FILTER (WHERE sent_at IS NOT NULL),
           extract(epoch FROM now() - min(created_at) FILTER (WHERE sent_at IS NULL AND parked_at IS NULL))::float8
    FROM outbox_message
    GROUP BY destination
"""


@dataclass(frozen=True)
class DestinationStatus:
    """One destination's messages. `oldest_waiting_seconds` is None while nothing waits."""

    destination: str
    switched_on: bool
    waiting: int = 0
    parked: int = 0
    sent: int = 0
    oldest_waiting_seconds: float | None = None


def switched_on_destinations() -> list[str]:
    return [destination for destination in known_destinations() if is_switched_on(destination)]


def outbox_status() -> list[DestinationStatus]:
    """Every destination that has a sink, and every other one that messages wait for."""
    counts = {row[0]: row[1:] for row in sql.fetch_all(COUNTS)}
    return [
        DestinationStatus(destination, is_switched_on(destination), *counts.get(destination, ()))
        for destination in dict.fromkeys([*known_destinations(), *sorted(counts)])
    ]
