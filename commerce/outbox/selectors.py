"""Queries on messages and delivery attempts."""

from collections.abc import Collection

from django.db.models import Q, QuerySet

from commerce.outbox.models import DeliveryAttempt, OutboxMessage, WebhookSubscription
from commerce.outbox.routes import destinations_of

WAITING, PARKED, SENT = "waiting", "parked", "sent"


def state_of(message: OutboxMessage) -> str:
    """The state of a message: waiting, parked or sent."""
    if message.sent_at is not None:
        return SENT
    return WAITING if message.parked_at is None else PARKED


def is_told(event_type: str) -> bool:
    """Whether an event of this type would have a message now: to a destination or to a subscription."""
    if destinations_of(event_type):
        return True
    return WebhookSubscription.objects.filter(is_active=True, event_types__contains=[event_type]).exists()


def messages_of(event_ids: Collection[str]) -> "QuerySet[OutboxMessage]":
    """The messages of these events, without payloads, in the order in which they were written."""
    return OutboxMessage.objects.filter(event_id__in=event_ids).defer("payload").order_by("id")


def deliveries_of(message_ids: Collection[int]) -> "QuerySet[DeliveryAttempt]":
    """The delivery attempts of these messages, newest first."""
    return DeliveryAttempt.objects.filter(message_id__in=message_ids).order_by("-id")


def messages_called(event: str) -> "QuerySet[OutboxMessage]":
    """The messages of the event with this id, or with this prefix of it, such as `order-completed:1042`."""
    called = Q(event_id=event) | Q(event_id__startswith=f"{event}:")
    return OutboxMessage.objects.filter(called).defer("payload").order_by("id")
