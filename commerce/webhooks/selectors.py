"""Queries on webhook subscriptions, their calls and messages, without secrets."""

from collections.abc import Collection
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Exists, OuterRef, Q, QuerySet

from commerce.outbox.models import DeliveryAttempt, EndReason, OutboxMessage, WebhookSubscription
from commerce.webhooks.errors import WebhookNotFound

NOT_REMOVED = ~Q(ended_for=EndReason.REMOVED)
FAILING_LONG = timedelta(hours=1)
"""Staff are alerted to a subscription that has failed for this long."""


def webhooks() -> "QuerySet[WebhookSubscription]":
    """All subscriptions that are not removed."""
    return WebhookSubscription.objects.filter(NOT_REMOVED)


def webhook_for(webhook_id: int, *, locked: bool = False) -> WebhookSubscription:
    """One subscription; `locked`: with a row lock. Raises WebhookNotFound."""
    found = webhooks().select_for_update(no_key=True) if locked else webhooks()
    webhook = found.filter(pk=webhook_id).first()
    if webhook is None:
        raise WebhookNotFound(webhook_id)
    return webhook


def calls_of(webhook_id: int) -> "QuerySet[DeliveryAttempt]":
    """The calls of a subscription, newest first, with their messages but without the payloads."""
    calls = DeliveryAttempt.objects.filter(subscription_id=webhook_id).select_related("message")
    return calls.defer("message__payload").order_by("-id")


def messages_of(webhook_id: int, event_ids: Collection[str]) -> list[int]:
    """The messages of these events to a subscription."""
    found = OutboxMessage.objects.filter(subscription_id=webhook_id, event_id__in=event_ids)
    return list(found.values_list("pk", flat=True))


def count_waiting(webhook_id: int, *, most: int) -> int:
    """The number of messages that wait for a subscription, counted up to `most`."""
    found = OutboxMessage.objects.filter(subscription_id=webhook_id, parked_at__isnull=True, sent_at__isnull=True)
    return found[:most].count()


def parked_of(webhook_id: int) -> "QuerySet[OutboxMessage, int]":
    """The parked messages of a subscription, by id."""
    found = OutboxMessage.objects.filter(subscription_id=webhook_id, parked_at__isnull=False, sent_at__isnull=True)
    return found.order_by("parked_at", "id").values_list("pk", flat=True)


def in_trouble(now: datetime, *, most: int) -> list[Any]:
    """The subscriptions that were switched off for failing, that have failed for an hour, or that have parked messages.

    `has_parked` is set for the last.
    """
    given_up = OutboxMessage.objects.filter(
        subscription_id=OuterRef("pk"), parked_at__isnull=False, sent_at__isnull=True
    )
    found = webhooks().annotate(has_parked=Exists(given_up))
    ended = Q(ended_for__in=(EndReason.FAILING, EndReason.GONE))
    failing = Q(is_active=True, failing_since__lt=now - FAILING_LONG)
    return list(found.filter(ended | failing | Q(is_active=True, has_parked=True)).order_by("is_active", "id")[:most])
