"""What sold when, in the back-office, and what could not be counted.

Owns the pages; only the consumer, the replay and the backfill write what they show.
"""

from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.text import Truncator
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext

from commerce.staff_pages.pages import ReadOnly
from stats.models import DeadLetter, ProcessedEvent, ProductStat
from stats.services import Replay, replay_dead_letter


@admin.register(ProductStat)
class ProductStatAdmin(ReadOnly):
    """Units sold per product and day."""

    list_display = ("date", "product", "quantity_sold")
    list_select_related = ("product",)
    search_fields = ("product__name", "product__id__exact")
    search_help_text = _("A product's name or number.")
    date_hierarchy = "date"
    ordering = ("-date", "product_id")


@admin.register(ProcessedEvent)
class ProcessedEventAdmin(ReadOnly):
    """Order events that have been counted."""

    list_display = ("event_id", "processed_at")
    search_fields = ("event_id__exact",)
    search_help_text = _("An event, such as order-completed:1.")
    ordering = ("-processed_at",)


class ReplayedFilter(admin.SimpleListFilter):
    """Waiting or replayed."""

    title = _("state")
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Any:
        return (("waiting", _("waiting")), ("replayed", _("replayed")))

    def queryset(self, request: HttpRequest, queryset: "QuerySet[DeadLetter]") -> "QuerySet[DeadLetter]":
        if self.value() in ("waiting", "replayed"):
            return queryset.filter(replayed_at__isnull=self.value() == "waiting")
        return queryset


@admin.register(DeadLetter)
class DeadLetterAdmin(ReadOnly):
    """Messages from Kafka that could not be counted."""

    list_display = ("id", "topic", "partition", "offset", "short_reason", "received_at", "replayed_at")
    list_filter = (ReplayedFilter,)
    search_fields = ("topic__exact", "offset__exact")
    search_help_text = _("A topic or an offset.")
    ordering = ("-id",)
    fields = (
        *("topic", "partition", "offset", "key_text", "headers", "payload_text"),
        *("reason", "received_at", "replayed_at"),
    )
    readonly_fields = ("key_text", "payload_text")
    actions = ("replay",)

    @admin.display(description=_("reason"))
    def short_reason(self, letter: DeadLetter) -> str:
        return Truncator(letter.reason).chars(100)

    @admin.display(description=_("key"))
    def key_text(self, letter: DeadLetter) -> str:
        return "-" if letter.key is None else _readable(letter.key)

    @admin.display(description=_("payload"))
    def payload_text(self, letter: DeadLetter) -> str:
        return _readable(letter.payload)

    def has_replay_permission(self, request: HttpRequest) -> bool:
        return bool(request.user.has_perm("stats.change_deadletter"))

    @admin.action(description=_("Replay"), permissions=["replay"])
    def replay(self, request: HttpRequest, queryset: "QuerySet[DeadLetter]") -> None:
        letters = queryset.order_by("id").values_list("id", flat=True)
        outcomes = [replay_dead_letter(letter_id=letter_id).outcome for letter_id in list(letters)]
        counted = sum(outcome in (Replay.COUNTED, Replay.REPEATED) for outcome in outcomes)
        sentence = ngettext("%(count)d letter was replayed.", "%(count)d letters were replayed.", counted)
        self.message_user(request, sentence % {"count": counted}, messages.SUCCESS if counted else messages.WARNING)
        if refused := outcomes.count(Replay.REFUSED):
            sentence = ngettext(
                "%(count)d letter still cannot be counted.", "%(count)d letters still cannot be counted.", refused
            )
            self.message_user(request, sentence % {"count": refused}, messages.ERROR)


def _readable(original: bytes | memoryview) -> str:
    """The bytes as text; those that are none are written as \\x00."""
    return bytes(original).decode(errors="backslashreplace")
