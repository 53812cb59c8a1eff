"""What the shop owes the world, in the back-office: to see what waits, and to send again what was parked."""

from typing import Any

from django.contrib import admin, messages
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext

from commerce.core.staff_pages import ReadOnly
from commerce.outbox.models import OutboxMessage
from commerce.outbox.parked import send_again
from commerce.outbox.routes import DATA_PLATFORM, KAFKA, PRODUCT_STATS

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


@admin.register(OutboxMessage)
class OutboxMessageAdmin(ReadOnly):
    """One event for one destination."""

    list_display = ("id", "event_id", "destination", "state", "attempts", "next_attempt_at", "sent_at", "created_at")
    list_filter = (StateFilter, DestinationFilter)
    search_fields = ("event_id__exact", "aggregate_id__exact")
    search_help_text = _("An event, such as order-completed:1, or a user's number.")
    ordering = ("-id",)
    actions = ("send_parked_again",)

    @admin.display(description=_("state"))
    def state(self, message: OutboxMessage) -> Any:
        if message.sent_at:
            return dict(STATES)[SENT]
        return dict(STATES)[PARKED if message.parked_at else WAITING]

    def has_send_permission(self, request: HttpRequest) -> bool:
        return bool(request.user.has_perm("outbox.change_outboxmessage"))

    @admin.action(description=_("Send again (parked ones)"), permissions=["send"])
    def send_parked_again(self, request: HttpRequest, queryset: "QuerySet[OutboxMessage]") -> None:
        count = send_again(list(queryset.values_list("id", flat=True)))
        sentence = ngettext("%(count)d message is sent again.", "%(count)d messages are sent again.", count)
        self.message_user(request, sentence % {"count": count}, messages.SUCCESS if count else messages.WARNING)
