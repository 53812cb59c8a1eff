"""How an order event is read: from the bytes that the outbox sent to the units that count.

Owns the check of what comes in; never touches the database.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

import orjson

from commerce.core.numbers import LARGEST_ID
from orders.events import ORDER_CANCELLED, ORDER_COMPLETED
from orders.rules import LARGEST_QUANTITY, MOST_ITEMS
from stats.errors import UnreadableEvent

ORDER_EVENTS = (ORDER_COMPLETED, ORDER_CANCELLED)
LONGEST_EVENT_ID = 80
_SIGNS = {ORDER_COMPLETED: 1, ORDER_CANCELLED: -1}


@dataclass(frozen=True)
class OrderEvent:
    """What one event changes: units by product id, on the day of the order. A cancel takes units away."""

    event_id: str
    day: date
    units: Mapping[int, int]


def read_order_event(payload: bytes) -> OrderEvent:
    """The event behind `payload`, a CloudEvent. Raises UnreadableEvent."""
    try:
        event = orjson.loads(payload)
    except ValueError as error:
        raise UnreadableEvent(f"Not JSON: {error}") from error
    try:
        sign = _SIGNS[event["type"]]
        order = event["data"]
        units = _units(order["items"], sign)
        # As it stands there: the order's time is told in the shop's zone, whatever zone this process has.
        day = datetime.fromisoformat(order["createdAt"]).date()
        return OrderEvent(_identifier(event["id"]), day, units)
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


def _identifier(value: Any) -> str:
    if not isinstance(value, str) or not 1 <= len(value) <= LONGEST_EVENT_ID or "\0" in value:
        raise ValueError(f"{value!r} is not an event id")
    return value
