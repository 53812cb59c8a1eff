"""Parsing and validation of order events. No database access."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

import orjson

from commerce.core.whole_numbers import LARGEST_ID
from commerce.outbox.publish import event_id, short_event_id
from orders.events import ORDER_CANCELLED, ORDER_COMPLETED, ORDER_REFUNDED
from reservations.rules import LARGEST_QUANTITY, MOST_ITEMS
from stats.errors import UnreadableEvent

ORDER_EVENTS = (ORDER_COMPLETED, ORDER_CANCELLED, ORDER_REFUNDED)
_SIGNS = {ORDER_COMPLETED: 1, ORDER_CANCELLED: -1, ORDER_REFUNDED: -1}


@dataclass(frozen=True)
class OrderEvent:
    """The change of one event: units by product id on the order's day, negative for a cancellation or refund."""

    event_id: str
    """The id as `commerce.outbox.publish.event_id` builds it, also for older events, which have a shorter id."""
    day: date
    units: Mapping[int, int]
    source_id: int
    """The id of the order, or of the refund."""


def read_order_event(payload: bytes) -> OrderEvent:
    """Parse `payload`, a CloudEvent in JSON. Raises UnreadableEvent."""
    try:
        event = orjson.loads(payload)
    except ValueError as error:
        raise UnreadableEvent(f"Not JSON: {error}") from error
    try:
        kind = event["type"]
        sign = _SIGNS[kind]
        fact = event["data"]
        units = _units(fact["items"], sign)
        order = fact["order"] if kind == ORDER_REFUNDED else fact
        source_id = _whole(fact["id"], LARGEST_ID)
        occurred_at = datetime.fromisoformat(fact["cancelledAt" if kind == ORDER_CANCELLED else "createdAt"])
        known_as = event_id(kind, source_id, occurred_at)
        if event["id"] not in (known_as, short_event_id(kind, source_id)):
            raise ValueError(f"{event['id']!r} is not the event of {source_id}")
        # The date as written: the order's time is in the shop's time zone, whatever the zone of this process.
        return OrderEvent(known_as, datetime.fromisoformat(order["createdAt"]).date(), units, source_id)
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise UnreadableEvent(f"Not an order event: {type(error).__name__}: {error}") from error


def _units(items: Any, sign: int) -> dict[int, int]:
    if not isinstance(items, list) or not 1 <= len(items) <= MOST_ITEMS:
        raise ValueError(f"an order has 1 to {MOST_ITEMS} items")
    units = {_whole(item["productId"], LARGEST_ID): sign * _whole(item["quantity"], LARGEST_QUANTITY) for item in items}
    if len(units) < len(items):
        raise ValueError("a product stands there twice")
    return units


def _whole(value: Any, largest: int) -> int:
    if type(value) is not int or not 1 <= value <= largest:
        raise ValueError(f"{value!r} is not a whole number from 1 to {largest}")
    return value
