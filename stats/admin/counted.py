"""The back-office pages of counted events and of dead letters, with the replay of dead letters."""

from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils.html import format_html
from django.utils.text import Truncator
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext
from unfold.contrib.filters.admin import RadioFilter
from unfold.decorators import display

from commerce.outbox.event_links import fact_link, list_link
from commerce.outbox.search import EventSearch
from commerce.staff_pages.actions import reason_or_question
from commerce.staff_pages.pages import ReadOnly
from stats.models import DeadLetter, ProcessedEvent
from stats.services import Replay, replay_dead_letter

LETTERS_AT_ONCE = 500
"""Letters replayed by one request, so that it stays within its time limit."""
WAITING, REPLAYED = "waiting", "replayed"
STATES = ((WAITING, _("waiting")), (REPLAYED, _("replayed")))


@admin.register(ProcessedEvent)
class ProcessedEventAdmin(EventSearch, ReadOnly):
    """Order events that have been counted."""

    list_display = ("event_id", "processed_at")
    search_fields = ("event_id__exact",)
    search_help_text = _("An event, such as order-completed:1.")
    ordering = ("-processed_at",)
    fields = ("event_id", "about", "messages", "processed_at")
    readonly_fields = ("about", "messages")

    def get_fields(self, request: HttpRequest, obj: ProcessedEvent | None = None) -> Any:
        """Without the link to the outbox for users who may not view it."""
        may_see = request.user.has_perm("outbox.view_outboxmessage")
        return [name for name in self.fields if name != "messages" or may_see]

    @admin.display(description=_("about"))
    def about(self, event: ProcessedEvent) -> str:
        return fact_link(event.event_id)

    @admin.display(description=_("messages"))
    def messages(self, event: ProcessedEvent) -> str:
        return list_link("outbox_outboxmessage", event.event_id)


class ReplayedFilter(RadioFilter):
    """Filter by waiting or replayed."""

    title = _("state")
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Any:
        return STATES

    def queryset(self, request: HttpRequest, queryset: "QuerySet[DeadLetter]") -> "QuerySet[DeadLetter]":
        if self.value() in (WAITING, REPLAYED):
            return queryset.filter(replayed_at__isnull=self.value() == WAITING)
        return queryset


@admin.register(DeadLetter)
class DeadLetterAdmin(ReadOnly):
    """Messages from Kafka that could not be counted."""

    list_display = ("id", "state", "full_reason", "position", "received_at", "replayed_at")
    list_display_links = ("id", "full_reason")
    list_filter = (ReplayedFilter,)
    search_fields = ("topic__exact", "offset__exact")
    search_help_text = _("A topic or an offset.")
    ordering = ("-id",)
    fields = (
        *("reason", "topic", "partition", "offset", "key_text", "headers", "payload_text"),
        *("received_at", "replayed_at"),
    )
    readonly_fields = ("key_text", "payload_text")
    actions = ("replay",)
    most_selected = LETTERS_AT_ONCE

    @display(description=_("state"), label={WAITING: "warning", REPLAYED: "success"})
    def state(self, letter: DeadLetter) -> Any:
        state = REPLAYED if letter.replayed_at else WAITING
        return state, str(dict(STATES)[state])

    @admin.display(description=_("reason"))
    def full_reason(self, letter: DeadLetter) -> str:
        reason = Truncator(letter.reason).chars(300)
        return format_html('<div class="break-words max-w-xl min-w-52 whitespace-normal">{}</div>', reason)

    @admin.display(description=_("place in Kafka"))
    def position(self, letter: DeadLetter) -> str:
        return letter.position

    @admin.display(description=_("key"))
    def key_text(self, letter: DeadLetter) -> str:
        return "-" if letter.key is None else _readable(letter.key)

    @admin.display(description=_("payload"))
    def payload_text(self, letter: DeadLetter) -> str:
        return format_html('<code class="break-words whitespace-normal">{}</code>', _readable(letter.payload))

    def has_replay_permission(self, request: HttpRequest) -> bool:
        return bool(request.user.has_perm("stats.replay_deadletter"))

    @admin.action(description=_("Replay"), permissions=["replay"])
    def replay(self, request: HttpRequest, queryset: "QuerySet[DeadLetter]") -> HttpResponse | None:
        """Ask for a reason, then replay the selected letters."""
        letters = list(queryset.order_by("id").values_list("id", flat=True)[: LETTERS_AT_ONCE + 1])
        if not letters:
            return None
        tried = min(len(letters), LETTERS_AT_ONCE)
        sentence = ngettext(
            "%(count)d dead letter will be replayed.", "%(count)d dead letters will be replayed.", tried
        )
        by = reason_or_question(
            self,
            request,
            action="replay",
            row_ids=letters,
            title=_("Replay"),
            sentences=[sentence % {"count": tried}],
        )
        if isinstance(by, HttpResponse):
            return by
        outcomes = [replay_dead_letter(letter_id=letter_id, by=by).outcome for letter_id in letters[:LETTERS_AT_ONCE]]
        counted = sum(outcome in (Replay.COUNTED, Replay.REPEATED) for outcome in outcomes)
        sentence = ngettext("%(count)d dead letter was replayed.", "%(count)d dead letters were replayed.", counted)
        self.message_user(request, sentence % {"count": counted}, messages.SUCCESS if counted else messages.WARNING)
        if refused := outcomes.count(Replay.REFUSED):
            sentence = ngettext(
                "%(count)d dead letter still cannot be counted.",
                "%(count)d dead letters still cannot be counted.",
                refused,
            )
            self.message_user(request, sentence % {"count": refused}, messages.ERROR)
        if len(letters) > LETTERS_AT_ONCE:
            rest = _("Only the first %(count)d were processed. Select the rest again.")
            self.message_user(request, rest % {"count": LETTERS_AT_ONCE}, messages.WARNING)
        return None


def _readable(original: bytes | memoryview) -> str:
    """Decode the bytes as UTF-8; invalid ones are escaped as \\x00."""
    return bytes(original).decode(errors="backslashreplace")
