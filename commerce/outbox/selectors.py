"""Reading messages, and how each call went.

Owns the words for where a message stands; never changes one.
"""

from collections.abc import Collection

from django.db.models import QuerySet

from commerce.outbox.models import DeliveryAttempt, OutboxMessage

WAITING, PARKED, SENT = "waiting", "parked", "sent"


def state_of(message: OutboxMessage) -> str:
    """Where a message stands: waiting, parked or sent."""
    if message.sent_at is not None:
        return SENT
    return WAITING if message.parked_at is None else PARKED


def messages_of(event_ids: Collection[str]) -> "QuerySet[OutboxMessage]":
    """Every message of one of these events, without its payload, in the order they were written."""
    return OutboxMessage.objects.filter(event_id__in=event_ids).defer("payload").order_by("id")


def deliveries_of(message_ids: Collection[int]) -> "QuerySet[DeliveryAttempt]":
    """The calls that delivered these messages, or tried to, the newest first."""
    return DeliveryAttempt.objects.filter(message_id__in=message_ids).order_by("-id")
