"""The back-office pages of the outbox: messages, delivery attempts, and sending messages again (`resend`)."""

import json
from typing import Any

from django.contrib import admin, messages
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.html import format_html
from django.utils.text import Truncator
from django.utils.timesince import timesince
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _
from unfold.contrib.filters.admin import ChoicesDropdownFilter, DropdownFilter

from commerce.outbox import local_dispatch
from commerce.outbox.event_links import NOTHING, fact_link, list_link
from commerce.outbox.models import DeliveryAttempt, DeliveryOutcome, OutboxMessage
from commerce.outbox.resend import send_again
from commerce.outbox.routes import event_types_to, is_switched_on
from commerce.outbox.search import EventSearch
from commerce.outbox.sinks.base import known_destinations
from commerce.outbox.status import switched_on_destinations
from commerce.staff_pages.actions import reason_or_question
from commerce.staff_pages.display import label
from commerce.staff_pages.pages import ReadOnly, ReadOnlyRows

WAITING, PARKED, SENT = "waiting", "parked", "sent"
IN_STATE = {
    WAITING: Q(sent_at__isnull=True, parked_at__isnull=True),
    PARKED: Q(sent_at__isnull=True, parked_at__isnull=False),
    SENT: Q(sent_at__isnull=False),
}
STATES = ((WAITING, _("waiting")), (PARKED, _("parked")), (SENT, _("sent")))
STATE_COLOURS = {WAITING: "info", PARKED: "danger", SENT: "success"}
OUTCOME_COLOURS = {
    DeliveryOutcome.ACKNOWLEDGED.value: "success",
    DeliveryOutcome.REFUSED.value: "danger",
    DeliveryOutcome.NO_ANSWER.value: "warning",
}
MOST_AT_ONCE = 500
ERROR_CHARACTERS = 200
NONE_READY = _("None of them can be sent again: they are waiting, or were sent to Kafka.")


class StateFilter(DropdownFilter):
    """Filter by waiting, parked or sent."""

    title = _("state")
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Any:
        return STATES

    def queryset(self, request: HttpRequest, queryset: "QuerySet[OutboxMessage]") -> "QuerySet[OutboxMessage]":
        chosen = IN_STATE.get(self.value() or "")
        return queryset.filter(chosen) if chosen is not None else queryset


class DestinationFilter(DropdownFilter):
    """Filter by a known destination; a search for an unknown one would scan the table."""

    title = _("destination")
    parameter_name = "destination"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Any:
        chosen = request.GET.get(self.parameter_name)
        names = [name for name in known_destinations() if is_switched_on(name) or name == chosen]
        return [(name, name) for name in names]

    def queryset(self, request: HttpRequest, queryset: "QuerySet[OutboxMessage]") -> "QuerySet[OutboxMessage]":
        return queryset.filter(destination=self.value()) if self.value() else queryset


class TypeFilter(DropdownFilter):
    """Filter by an event type of the chosen destination; a search for any other would scan the table."""

    title = _("type")
    parameter_name = "type"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Any:
        chosen = request.GET.get(DestinationFilter.parameter_name)
        names = [chosen] if chosen else switched_on_destinations()
        types = dict.fromkeys(event_type for name in names for event_type in event_types_to(name))
        return [(event_type, event_type) for event_type in types]

    def queryset(self, request: HttpRequest, queryset: "QuerySet[OutboxMessage]") -> "QuerySet[OutboxMessage]":
        return queryset.filter(type=self.value()) if self.value() else queryset


class AnswerFilter(DropdownFilter):
    """Filter by the class of the HTTP status."""

    title = _("HTTP status")
    parameter_name = "status"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Any:
        return [(str(first), f"{first}xx") for first in range(2, 6)]

    def queryset(self, request: HttpRequest, queryset: "QuerySet[DeliveryAttempt]") -> "QuerySet[DeliveryAttempt]":
        chosen = self.value() or ""
        if chosen not in {"2", "3", "4", "5"}:
            return queryset
        found = queryset.filter(http_status__gte=int(chosen) * 100, http_status__lt=int(chosen) * 100 + 100)
        # Repeated here, because the few failed attempts have a partial index.
        return found if chosen == "2" else found.exclude(outcome=DeliveryOutcome.ACKNOWLEDGED)


class DeliveryRows(ReadOnlyRows):
    """The delivery attempts of a message, newest first."""

    model = DeliveryAttempt
    hide_title = True
    fields = ("attempted_at", "how_it_ended", "http_status", "duration_ms", "error")
    readonly_fields = ("how_it_ended",)
    ordering = ("-id",)

    @admin.display(description=_("outcome"))
    def how_it_ended(self, attempt: DeliveryAttempt) -> str:
        return label(attempt.get_outcome_display(), OUTCOME_COLOURS.get(attempt.outcome, ""))


@admin.register(OutboxMessage)
class OutboxMessageAdmin(EventSearch, ReadOnly):
    """Outbox messages."""

    list_display = ("id", "event_id", "destination", "state", "attempts", "short_error", "age", "next_attempt")
    list_display_links = ("id", "event_id")
    list_filter = (StateFilter, DestinationFilter, TypeFilter)
    search_fields = ("event_id__exact",)
    other_fields = ("aggregate_id",)
    search_help_text = _("An event, such as order-completed:1, or a user's number.")
    ordering = ("-id",)
    actions = ("send_again",)
    most_selected = MOST_AT_ONCE
    inlines = (DeliveryRows,)
    fields = (
        *("event_id", "about", "counted", "type", "destination", "aggregate_id", "state", "attempts"),
        *("created_at", "next_attempt", "sent_at", "parked_at", "whole_error", "readable_payload"),
    )
    readonly_fields = ("about", "counted", "state", "next_attempt", "whole_error", "readable_payload")

    def get_queryset(self, request: HttpRequest) -> "QuerySet[OutboxMessage]":
        # The list does not show the payloads, so it does not load them.
        rows: QuerySet[OutboxMessage] = super().get_queryset(request)
        return rows.defer("payload")

    @admin.display(description=_("state"))
    def state(self, message: OutboxMessage) -> str:
        name = SENT if message.sent_at else PARKED if message.parked_at else WAITING
        return label(dict(STATES)[name], STATE_COLOURS[name])

    @admin.display(description=_("about"))
    def about(self, message: OutboxMessage) -> str:
        return fact_link(message.event_id)

    @admin.display(description=_("counted"))
    def counted(self, message: OutboxMessage) -> str:
        """A link to the record that the order event was counted."""
        is_counted = message.type.partition("-")[0] == "order"
        return list_link("stats_processedevent", message.event_id) if is_counted else NOTHING

    def get_fields(self, request: HttpRequest, obj: OutboxMessage | None = None) -> Any:
        """Without links to lists that the user may not view."""
        may_see = request.user.has_perm("stats.view_processedevent")
        return [name for name in self.fields if name != "counted" or may_see]

    @admin.display(description=_("age"), ordering="-id")
    def age(self, message: OutboxMessage) -> str:
        return timesince(message.created_at, depth=1)

    @admin.display(description=_("next attempt at"))
    def next_attempt(self, message: OutboxMessage) -> Any:
        return None if message.sent_at or message.parked_at else message.next_attempt_at

    @admin.display(description=_("last error"))
    def short_error(self, message: OutboxMessage) -> str:
        return format_html('<div class="bo-error">{}</div>', Truncator(_open_error(message)).chars(ERROR_CHARACTERS))

    @admin.display(description=_("last error"))
    def whole_error(self, message: OutboxMessage) -> str:
        error = _open_error(message)
        return format_html('<pre class="bo-code">{}</pre>', error) if error else ""

    @admin.display(description=_("payload"))
    def readable_payload(self, message: OutboxMessage) -> str:
        return format_html('<pre class="bo-code">{}</pre>', _indented(message.payload))

    def shown_beside(self, request: HttpRequest, row: OutboxMessage) -> dict[str, Any]:
        """The URL that the button posts to: the list with its filters, which is shown again afterwards."""
        filters = request.GET.get("_changelist_filters", "")
        address = reverse("admin:outbox_outboxmessage_changelist")
        return {"list_address": f"{address}?{filters}" if filters else address}

    def has_send_permission(self, request: HttpRequest) -> bool:
        return bool(request.user.has_perm("outbox.resend_outboxmessage"))

    @admin.action(description=_("Send again (parked ones, and to the data platform sent ones)"), permissions=["send"])
    def send_again(self, request: HttpRequest, queryset: "QuerySet[OutboxMessage]") -> HttpResponse | None:
        """Ask for a reason, then queue the selected messages again."""
        message_ids = list(queryset.values_list("id", flat=True)[: MOST_AT_ONCE + 1])
        if len(message_ids) > MOST_AT_ONCE:
            refusal = _("At most %(count)d messages at a time; manage.py outbox_retry sends any number again.")
            self.message_user(request, refusal % {"count": MOST_AT_ONCE}, messages.ERROR)
            return None
        ready = sum(message.may_go_again for message in queryset)
        if not ready:
            self.message_user(request, NONE_READY, messages.WARNING)
            return None
        by = reason_or_question(
            self,
            request,
            action="send_again",
            row_ids=message_ids,
            title=_("Send again"),
            sentences=_consequences(ready, len(message_ids) - ready),
        )
        if isinstance(by, HttpResponse):
            return by
        destinations = send_again(message_ids, by=by)
        local_dispatch.wake(set(destinations))
        count = len(destinations)
        sentence = ngettext("%(count)d message is queued.", "%(count)d messages are queued.", count)
        if count:
            self.message_user(request, sentence % {"count": count}, messages.SUCCESS)
        else:
            self.message_user(request, NONE_READY, messages.WARNING)
        return None


@admin.register(DeliveryAttempt)
class DeliveryAttemptAdmin(EventSearch, ReadOnly):
    """Delivery attempts."""

    list_display = ("id", "message", "attempted_at", "how_it_ended", "http_status", "duration_ms", "short_error")
    list_display_links = ("id",)
    list_filter = (("outcome", ChoicesDropdownFilter), AnswerFilter)
    list_select_related = ("message",)
    search_fields = ("message__event_id__exact",)
    event_field = "message__event_id"
    search_help_text = _("An event, such as order-completed:1.")
    ordering = ("-id",)
    fields = ("message", "destination", "attempted_at", "duration_ms", "http_status", "how_it_ended", "whole_error")
    readonly_fields = ("how_it_ended", "whole_error")

    def get_queryset(self, request: HttpRequest) -> "QuerySet[DeliveryAttempt]":
        rows: QuerySet[DeliveryAttempt] = super().get_queryset(request)
        return rows.defer("message__payload")

    @admin.display(description=_("outcome"))
    def how_it_ended(self, attempt: DeliveryAttempt) -> str:
        return label(attempt.get_outcome_display(), OUTCOME_COLOURS.get(attempt.outcome, ""))

    @admin.display(description=_("error"))
    def short_error(self, attempt: DeliveryAttempt) -> str:
        return format_html('<div class="bo-error">{}</div>', Truncator(attempt.error).chars(ERROR_CHARACTERS))

    @admin.display(description=_("error"))
    def whole_error(self, attempt: DeliveryAttempt) -> str:
        return format_html('<pre class="bo-code">{}</pre>', attempt.error) if attempt.error else ""


def _open_error(message: OutboxMessage) -> str:
    """The last error of a message that is not sent; the delivery attempts have all errors."""
    return "" if message.sent_at else message.last_error


def _consequences(ready: int, left: int) -> list[str]:
    sentences = [
        ngettext("%(count)d message will be queued.", "%(count)d messages will be queued.", ready) % {"count": ready},
        gettext("A receiver recognises a repeated event by its id. Usually a message arrives within seconds."),
    ]
    if left:
        sentence = ngettext(
            "%(count)d message stays as it is: it is waiting, or was sent to Kafka.",
            "%(count)d messages stay as they are: they are waiting, or were sent to Kafka.",
            left,
        )
        sentences.append(sentence % {"count": left})
    return sentences


def _indented(payload: str) -> str:
    """The JSON indented; other text unchanged."""
    try:
        return json.dumps(json.loads(payload), indent=2, ensure_ascii=False)
    except ValueError:
        return payload
