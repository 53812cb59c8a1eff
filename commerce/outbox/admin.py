"""What the shop owes the world, in the back-office: to see what waits, how each call went, and to send again."""

from typing import Any

from django.contrib import admin, messages
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.utils.text import Truncator
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext

from commerce.outbox import hand_over
from commerce.outbox.models import DeliveryAttempt, OutboxMessage
from commerce.outbox.resend import send_again
from commerce.outbox.routes import DATA_PLATFORM, KAFKA, PRODUCT_STATS
from commerce.staff_pages.pages import ReadOnly, ReadOnlyRows

WAITING, PARKED, SENT = "waiting", "parked", "sent"
IN_STATE = {
    WAITING: Q(sent_at__isnull=True, parked_at__isnull=True),
    PARKED: Q(sent_at__isnull=True, parked_at__isnull=False),
    SENT: Q(sent_at__isnull=False),
}
STATES = ((WAITING, _("waiting")), (PARKED, _("parked")), (SENT, _("sent")))


class StateFilter(admin.SimpleListFilter):
    """Waiting, parked or sent."""

    title = _("state")
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Any:
        return STATES

    def queryset(self, request: HttpRequest, queryset: "QuerySet[OutboxMessage]") -> "QuerySet[OutboxMessage]":
        chosen = IN_STATE.get(self.value() or "")
        return queryset.filter(chosen) if chosen is not None else queryset


class DestinationFilter(admin.SimpleListFilter):
    """One destination. The names are known, so the table need not be searched for them."""

    title = _("destination")
    parameter_name = "destination"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Any:
        return [(name, name) for name in (KAFKA, DATA_PLATFORM, PRODUCT_STATS)]

    def queryset(self, request: HttpRequest, queryset: "QuerySet[OutboxMessage]") -> "QuerySet[OutboxMessage]":
        return queryset.filter(destination=self.value()) if self.value() else queryset


class AnswerFilter(admin.SimpleListFilter):
    """The class of the answer's HTTP status."""

    title = _("HTTP status")
    parameter_name = "status"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Any:
        return [(str(first), f"{first}xx") for first in range(2, 6)]

    def queryset(self, request: HttpRequest, queryset: "QuerySet[DeliveryAttempt]") -> "QuerySet[DeliveryAttempt]":
        chosen = self.value() or ""
        if chosen not in {"2", "3", "4", "5"}:
            return queryset
        return queryset.filter(http_status__gte=int(chosen) * 100, http_status__lt=int(chosen) * 100 + 100)


class DeliveryRows(ReadOnlyRows):
    """The calls that told this message, the newest first."""

    model = DeliveryAttempt
    fields = ("attempted_at", "outcome", "http_status", "duration_ms", "error")
    ordering = ("-id",)


@admin.register(OutboxMessage)
class OutboxMessageAdmin(ReadOnly):
    """One event for one destination."""

    list_display = ("id", "event_id", "destination", "state", "attempts", "next_attempt_at", "sent_at", "created_at")
    list_filter = (StateFilter, DestinationFilter)
    search_fields = ("event_id__exact", "aggregate_id__exact")
    search_help_text = _("An event, such as order-completed:1, or a user's number.")
    ordering = ("-id",)
    actions = ("send_again",)
    inlines = (DeliveryRows,)

    @admin.display(description=_("state"))
    def state(self, message: OutboxMessage) -> Any:
        if message.sent_at:
            return dict(STATES)[SENT]
        return dict(STATES)[PARKED if message.parked_at else WAITING]

    def has_send_permission(self, request: HttpRequest) -> bool:
        return bool(request.user.has_perm("outbox.change_outboxmessage"))

    @admin.action(description=_("Send again (parked ones, and to the data platform sent ones)"), permissions=["send"])
    def send_again(self, request: HttpRequest, queryset: "QuerySet[OutboxMessage]") -> None:
        destinations = send_again(list(queryset.values_list("id", flat=True)))
        hand_over.wake(set(destinations))
        count = len(destinations)
        sentence = ngettext("%(count)d message is sent again.", "%(count)d messages are sent again.", count)
        self.message_user(request, sentence % {"count": count}, messages.SUCCESS if count else messages.WARNING)


@admin.register(DeliveryAttempt)
class DeliveryAttemptAdmin(ReadOnly):
    """One call to the data platform."""

    list_display = ("id", "message", "attempted_at", "outcome", "http_status", "duration_ms", "short_error")
    list_display_links = ("id",)
    list_filter = ("outcome", AnswerFilter)
    list_select_related = ("message",)
    search_fields = ("message__event_id__exact",)
    search_help_text = _("An event, such as order-completed:1.")
    ordering = ("-id",)
    fields = ("message", "destination", "attempted_at", "duration_ms", "http_status", "outcome", "error")

    @admin.display(description=_("error"))
    def short_error(self, attempt: DeliveryAttempt) -> str:
        return Truncator(attempt.error).chars(80)
