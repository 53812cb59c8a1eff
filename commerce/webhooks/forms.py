"""The forms of webhook subscriptions. The API's serializers enforce the same rules."""

from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.utils.translation import gettext_lazy as _
from unfold.widgets import UnfoldAdminCheckboxSelectMultipleWidget

from commerce.idempotency.forms import IdempotentForm
from commerce.outbox.models import WebhookSubscription
from commerce.outbox.routes import WEBHOOKS, event_types_to
from commerce.outbox.sinks.addresses import why_not
from commerce.staff_pages.forms import OpenedForm, ReasonForm
from commerce.webhooks.services import LONGEST_OVERLAP_HOURS, TERMS


class WebhookForm(OpenedForm):
    """The terms of a subscription."""

    watched = TERMS

    event_types = forms.MultipleChoiceField(
        label=_("event types"),
        choices=[(event_type, event_type) for event_type in event_types_to(WEBHOOKS)],
        widget=UnfoldAdminCheckboxSelectMultipleWidget,
    )

    class Meta:
        model = WebhookSubscription
        fields = TERMS

    def clean_url(self) -> str:
        url: str = self.cleaned_data["url"]
        reason = why_not(url)
        if reason is not None:
            raise ValidationError(reason, code="url_not_allowed")
        return url

    def clean_event_types(self) -> list[str]:
        # In a fixed order, so that the same types are the same value.
        return sorted(self.cleaned_data["event_types"])


class NewWebhookForm(WebhookForm, IdempotentForm):
    """The form of a new subscription, which starts active; a double click creates one."""

    class Meta(WebhookForm.Meta):
        fields: Any = ("name", "url", "event_types")


class RotateForm(IdempotentForm, ReasonForm):
    """The time during which both secrets are valid, and the reason."""

    overlap_hours = forms.IntegerField(
        label=_("hours during which the old secret stays valid"),
        min_value=0,
        max_value=LONGEST_OVERLAP_HOURS,
        initial=24,
        help_text=_("Time for the receiver to switch. 0: the old secret becomes invalid at once."),
    )


class RemoveForm(IdempotentForm, ReasonForm):
    """The reason."""


class SendParkedForm(IdempotentForm, ReasonForm):
    """The reason."""
