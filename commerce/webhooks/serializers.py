"""The JSON of webhook subscriptions. A secret is only in the response that creates it."""

from typing import Any

from django.utils.translation import gettext_lazy as _
from drf_spectacular.utils import OpenApiExample, extend_schema_serializer
from rest_framework import serializers

from commerce.api.fields import BodySerializer, StrictBooleanField, StrictIntegerField, TextField
from commerce.core.times import local_time
from commerce.core.visible_text import validate_visible
from commerce.outbox.models import (
    MOST_NAME_CHARACTERS,
    MOST_URL_CHARACTERS,
    DeliveryAttempt,
    DeliveryOutcome,
    EndReason,
    WebhookSubscription,
)
from commerce.outbox.routes import WEBHOOKS, event_types_to
from commerce.outbox.sinks.addresses import why_not
from commerce.webhooks.services import LONGEST_OVERLAP_HOURS

EVENT_TYPES = event_types_to(WEBHOOKS)
OFF_BECAUSE = [EndReason.STAFF.value, EndReason.FAILING.value, EndReason.GONE.value]
MOST_SENT_AGAIN = 100


class EventTypesField(serializers.ListField):
    """Some of the types, each once."""

    def __init__(self, **kwargs: Any) -> None:
        child = serializers.ChoiceField(choices=EVENT_TYPES)
        super().__init__(child=child, min_length=1, max_length=len(EVENT_TYPES), **kwargs)

    def to_internal_value(self, data: Any) -> list[str]:
        types: list[str] = super().to_internal_value(data)
        if len(set(types)) < len(types):
            raise serializers.ValidationError([_("An event type is named twice.")], code="unique")
        return types


class TermsSerializer(BodySerializer):
    """The validation of a subscription's terms."""

    def validate_name(self, name: str) -> str:
        validate_visible(name)
        return name

    def validate_url(self, url: str) -> str:
        reason = why_not(url)
        if reason is not None:
            raise serializers.ValidationError([reason], code="url_not_allowed")
        return url


@extend_schema_serializer(
    examples=[
        OpenApiExample(
            "Orders to a partner",
            {
                "name": "Warehouse",
                "url": "https://partner.example/webhooks",
                "eventTypes": ["order-completed", "order-cancelled"],
            },
            request_only=True,
        )
    ]
)
class NewWebhookSerializer(TermsSerializer):
    """A new subscription."""

    name = TextField(max_length=MOST_NAME_CHARACTERS)
    url = TextField(max_length=MOST_URL_CHARACTERS, help_text="https, to a public address.")
    eventTypes = EventTypesField()


class WebhookChangesSerializer(TermsSerializer):
    """Changes of a subscription; missing fields are unchanged."""

    name = TextField(max_length=MOST_NAME_CHARACTERS, required=False)
    url = TextField(max_length=MOST_URL_CHARACTERS, required=False, help_text="https, to a public address.")
    eventTypes = EventTypesField(required=False)
    active = StrictBooleanField(required=False, help_text="`false`: no messages are sent, and waiting ones are parked.")


class RotationSerializer(BodySerializer):
    """The time during which both secrets are valid."""

    overlapHours = StrictIntegerField(
        min_value=0,
        max_value=LONGEST_OVERLAP_HOURS,
        required=False,
        default=24,
        help_text="During this time every call has two signatures; 0: the old secret becomes invalid at once.",
    )


class SendAgainSerializer(BodySerializer):
    """The events to send again."""

    eventIds = serializers.ListField(
        child=TextField(max_length=80), min_length=1, max_length=MOST_SENT_AGAIN, help_text="`webhook-id`s."
    )


class WebhookSerializer(serializers.Serializer[WebhookSubscription]):
    """A subscription, without its secret."""

    id = serializers.IntegerField()
    name = serializers.CharField()
    url = serializers.CharField()
    eventTypes = serializers.ListField(source="event_types", child=serializers.ChoiceField(choices=EVENT_TYPES))
    active = serializers.BooleanField(source="is_active")
    offBecause = serializers.ChoiceField(
        choices=OFF_BECAUSE,
        allow_null=True,
        help_text="`gone`: it responded `410`; `failing`: all its calls have failed for days.",
    )
    offSince = serializers.DateTimeField(allow_null=True)
    failingSince = serializers.DateTimeField(allow_null=True, help_text="The time since which no call has succeeded.")
    previousSecretUntil = serializers.DateTimeField(
        allow_null=True, help_text="The time until which calls have two signatures."
    )
    createdAt = serializers.DateTimeField()

    def to_representation(self, instance: WebhookSubscription) -> dict[str, Any]:
        return webhook_as_json(instance)


class WebhookSecretSerializer(serializers.Serializer[Any]):
    """A subscription with its new secret."""

    webhook = WebhookSerializer()
    secret = serializers.CharField(allow_null=True, help_text="`whsec_…`, returned only once: a replay has `null`.")


class RemovedWebhookSerializer(serializers.Serializer[Any]):
    """The removed subscription."""

    id = serializers.IntegerField()


class SentAgainSerializer(serializers.Serializer[Any]):
    """The number of queued messages, without those that were already waiting."""

    queued = serializers.IntegerField(min_value=0, max_value=MOST_SENT_AGAIN)


class WebhookCallSerializer(serializers.Serializer[DeliveryAttempt]):
    """One call to a subscription."""

    id = serializers.IntegerField()
    eventId = serializers.CharField(source="message.event_id")
    eventType = serializers.CharField(source="message.type")
    attemptedAt = serializers.DateTimeField(source="attempted_at")
    durationMs = serializers.IntegerField(source="duration_ms")
    httpStatus = serializers.IntegerField(source="http_status", allow_null=True)
    outcome = serializers.ChoiceField(choices=DeliveryOutcome.choices)
    error = serializers.CharField(allow_blank=True, help_text="Empty if the call was acknowledged.")


def webhook_as_json(webhook: WebhookSubscription) -> dict[str, Any]:
    """A subscription as the API returns it."""
    return {
        "id": webhook.pk,
        "name": webhook.name,
        "url": webhook.url,
        "eventTypes": webhook.event_types,
        "active": webhook.is_active,
        "offBecause": webhook.ended_for or None,
        "offSince": local_time(webhook.ended_at),
        "failingSince": local_time(webhook.failing_since),
        "previousSecretUntil": local_time(webhook.previous_secret_until),
        "createdAt": local_time(webhook.created_at),
    }
