"""The ids of order events, from what the API answered.

Owns nothing but the way there.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from commerce.outbox.publish import event_id


def completed_id(order: Mapping[str, Any]) -> str:
    """The id of the event that an order, as the API shows it, was completed."""
    return event_id("order-completed", order["id"], datetime.fromisoformat(order["createdAt"]))


def cancelled_id(order: Mapping[str, Any]) -> str:
    """The id of the event that it was cancelled."""
    return event_id("order-cancelled", order["id"], datetime.fromisoformat(order["cancelledAt"]))


def refunded_id(refund: Mapping[str, Any]) -> str:
    """The id of the event of a refund, as the API shows it."""
    return event_id("order-refunded", refund["id"], datetime.fromisoformat(refund["createdAt"]))
