"""The ids of order events, computed from responses of the API."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from commerce.outbox.publish import event_id


def completed_id(order: Mapping[str, Any]) -> str:
    """The id of the event for a completed order, from the order in the API."""
    return event_id("order-completed", order["id"], datetime.fromisoformat(order["createdAt"]))


def cancelled_id(order: Mapping[str, Any]) -> str:
    """The id of the event for its cancellation."""
    return event_id("order-cancelled", order["id"], datetime.fromisoformat(order["cancelledAt"]))


def refunded_id(refund: Mapping[str, Any]) -> str:
    """The id of the event of a refund, as the API shows it."""
    return event_id("order-refunded", refund["id"], datetime.fromisoformat(refund["createdAt"]))
