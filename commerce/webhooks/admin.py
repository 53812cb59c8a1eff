"""The back-office pages of webhook subscriptions and their calls.

A secret is shown only in the response to the request that creates it.
"""

from collections.abc import Callable
from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.cache import add_never_cache_headers
from django.utils.functional import Promise
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _
from unfold.contrib.filters.admin import DropdownFilter
from unfold.decorators import display

from commerce.audit.record import Staff
from commerce.idempotency.commit import Idempotency
from commerce.outbox.admin import OUTCOME_COLOURS
from commerce.outbox.models import WebhookSubscription
from commerce.staff_pages.pages import ServiceAdmin, staff_id
from commerce.webhooks import selectors, services
from commerce.webhooks.forms import NewWebhookForm, RemoveForm, RotateForm, SendParkedForm, WebhookForm
from commerce.webhooks.services import Made

CALLS_SHOWN = 50
MOST_PARKED = 500
MOST_WAITING = 10_000
"""Waiting messages are not counted beyond this number."""
ACTIVE, FAILING, OFF = "active", "failing", "off"
STATES = ((ACTIVE, _("active")), (FAILING, _("failing")), (OFF, _("switched off")))
STATE_COLOURS = {ACTIVE: "success", FAILING: "warning", OFF: "danger"}


def state_of(webhook: WebhookSubscription) -> str:
    """Active, failing (its last call failed) or off."""
    if not webhook.is_active:
        return OFF
    return ACTIVE if webhook.failing_since is None else FAILING


class StateFilter(DropdownFilter):
    """Filter by active, failing or off."""

    title = _("state")
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Any:
        return STATES

    def queryset(
        self, request: HttpRequest, queryset: "QuerySet[WebhookSubscription]"
    ) -> "QuerySet[WebhookSubscription]":
        conditions: dict[str | None, dict[str, bool]] = {
            ACTIVE: {"is_active": True, "failing_since__isnull": True},
            FAILING: {"is_active": True, "failing_since__isnull": False},
            OFF: {"is_active": False},
        }
        return queryset.filter(**conditions.get(self.value(), {}))


@admin.register(WebhookSubscription)
class WebhookSubscriptionAdmin(ServiceAdmin):
    """Webhook subscriptions."""

    list_display = ("id", "name", "url", "types", "state", "failing_since", "created_at")
    list_display_links = ("id", "name")
    list_filter = (StateFilter,)
    search_fields = ("name", "url")
    search_help_text = _("A part of the name or the URL.")
    ordering = ("-id",)
    form = WebhookForm
    change_form_template = "admin/webhooks/change_form.html"

    def get_queryset(self, request: HttpRequest) -> "QuerySet[WebhookSubscription]":
        rows: QuerySet[WebhookSubscription] = super().get_queryset(request)
        return rows.filter(selectors.NOT_REMOVED)

    @display(description=_("state"), label=STATE_COLOURS)
    def state(self, webhook: WebhookSubscription) -> Any:
        name = state_of(webhook)
        return name, dict(STATES)[name]

    @admin.display(description=_("event types"))
    def types(self, webhook: WebhookSubscription) -> str:
        return ", ".join(webhook.event_types)

    def get_form(
        self, request: HttpRequest, obj: WebhookSubscription | None = None, change: bool = False, **kwargs: Any
    ) -> Any:
        return super().get_form(request, obj, change, **({} if change else {"form": NewWebhookForm}), **kwargs)

    def get_fieldsets(self, request: HttpRequest, obj: WebhookSubscription | None = None) -> Any:
        names = ("name", "url", "event_types")
        return ((None, {"fields": (*names, "is_active", "opened") if obj else (*names, "form_key")}),)

    def save_model(self, request: HttpRequest, obj: WebhookSubscription, form: Any, change: bool) -> None:
        by = Staff(staff_id(request))
        if change:
            changes = {name: form.cleaned_data[name] for name in services.TERMS}
            services.change_webhook(obj.pk, changes, by=by, idempotency=Idempotency.none(), seen=form.seen)
            return
        made: list[Made] = []

        def create(idempotency: Idempotency) -> Made:
            made.append(
                services.create_webhook(
                    name=obj.name, url=obj.url, event_types=obj.event_types, by=by, idempotency=idempotency
                )
            )
            return made[0]

        obj.pk = int(form.act_once(create, lambda result: str(result.webhook.pk), staff_id=by.id, path=request.path))
        vars(request)[_MADE] = made[0] if made else None

    def response_add(
        self, request: HttpRequest, obj: WebhookSubscription, post_url_continue: str | None = None
    ) -> HttpResponse:
        """The page with the secret; for a form that is sent twice, the page without it."""
        made: Made | None = vars(request).get(_MADE)
        if made is None:
            self.message_user(request, SHOWN_ONCE, messages.WARNING)
            return HttpResponseRedirect(_page_of(obj.pk))
        return self._secret_page(request, made)

    def shown_beside(self, request: HttpRequest, row: WebhookSubscription) -> dict[str, Any]:
        """Context shown beside the form: state, latest calls, waiting and parked messages."""
        state = state_of(row)
        calls = [
            (call, call.get_outcome_display(), OUTCOME_COLOURS.get(call.outcome, ""))
            for call in selectors.calls_of(row.pk)[:CALLS_SHOWN]
        ]
        return {
            "state": dict(STATES)[state],
            "state_colour": STATE_COLOURS[state],
            "off_because": "" if row.is_active else row.get_ended_for_display(),
            "calls": calls,
            "waiting": selectors.count_waiting(row.pk, most=MOST_WAITING),
            "parked": len(selectors.parked_of(row.pk)[: MOST_PARKED + 1]),
            "may_change": self.has_change_permission(request, row),
            "may_send": request.user.has_perm("outbox.resend_outboxmessage") and row.is_active,
        }

    def get_urls(self) -> list[URLPattern]:
        def page(view: Callable[..., HttpResponse]) -> Callable[..., HttpResponse]:
            return self.admin_site.admin_view(view)

        return [
            path("<int:webhook_id>/secret/", page(self.rotate), name="outbox_webhooksubscription_rotate"),
            path("<int:webhook_id>/remove/", page(self.remove), name="outbox_webhooksubscription_remove"),
            path(
                "<int:webhook_id>/send-parked/", page(self.send_parked), name="outbox_webhooksubscription_send_parked"
            ),
            *super().get_urls(),
        ]

    def rotate(self, request: HttpRequest, webhook_id: int) -> HttpResponse:
        """Create a new secret and show it."""
        webhook = self._webhook(request, webhook_id, "change_webhooksubscription")
        made: list[Made] = []

        def rotate(idempotency: Idempotency, form: Any, by: Staff) -> Made:
            hours = form.cleaned_data["overlap_hours"]
            made.append(services.rotate_secret(webhook_id, overlap_hours=hours, by=by, idempotency=idempotency))
            return made[0]

        answer = self._question(
            request,
            webhook,
            RotateForm(request.POST or None),
            title=_("New secret for %(webhook)s") % {"webhook": webhook},
            sentences=[
                _("The new secret is shown once, on the next page."),
                _("Until the old secret expires, every call is signed with both, so that the receiver can switch."),
            ],
            button=_("Create a new secret"),
            act=rotate,
            sentence=lambda _made: str(SHOWN_ONCE),
        )
        return self._secret_page(request, made[0]) if made else answer

    def remove(self, request: HttpRequest, webhook_id: int) -> HttpResponse:
        """Remove the subscription."""
        webhook = self._webhook(request, webhook_id, "change_webhooksubscription")
        return self._question(
            request,
            webhook,
            RemoveForm(request.POST or None),
            title=_("Remove %(webhook)s") % {"webhook": webhook},
            sentences=[
                _("No more messages are sent to it, and waiting messages are parked."),
                _("Its secrets are deleted. This cannot be undone."),
            ],
            button=_("Remove"),
            is_danger=True,
            act=lambda idempotency, _form, by: services.remove_webhook(webhook_id, by=by, idempotency=idempotency),
            sentence=lambda _webhook: gettext("The webhook is removed."),
            back=reverse("admin:outbox_webhooksubscription_changelist"),
        )

    def send_parked(self, request: HttpRequest, webhook_id: int) -> HttpResponse:
        """Queue the parked messages again."""
        webhook = self._webhook(request, webhook_id, "resend_outboxmessage")
        parked = len(selectors.parked_of(webhook_id)[:MOST_PARKED])
        return self._question(
            request,
            webhook,
            SendParkedForm(request.POST or None),
            title=_("Send again to %(webhook)s") % {"webhook": webhook},
            sentences=[_queued(parked)],
            button=_("Send again"),
            act=lambda idempotency, _form, by: services.send_parked_again(
                webhook_id, most=MOST_PARKED, by=by, idempotency=idempotency
            ),
            sentence=_queued,
        )

    def _webhook(self, request: HttpRequest, webhook_id: int, right: str) -> WebhookSubscription:
        if not request.user.has_perm(f"outbox.{right}") or not self.has_view_permission(request):
            raise PermissionDenied
        webhook: WebhookSubscription | None = self.get_object(request, str(webhook_id))
        if webhook is None:
            raise Http404
        return webhook

    def _question(
        self,
        request: HttpRequest,
        webhook: WebhookSubscription,
        form: Any,
        *,
        title: str | Promise,
        sentences: list[Any],
        button: str | Promise,
        act: Callable[[Idempotency, Any, Staff], Any],
        sentence: Callable[[Any], str],
        is_danger: bool = False,
        back: str = "",
    ) -> HttpResponse:
        """Ask for a reason; on POST, run the action and redirect back."""
        if request.method == "POST" and form.is_valid():
            by = Staff(staff_id(request), form.cleaned_data["reason"])
            said = form.try_once(
                lambda idempotency: act(idempotency, form, by), sentence, staff_id=by.id, path=request.path
            )
            if said:
                self.message_user(request, said, messages.SUCCESS)
                return HttpResponseRedirect(back or _page_of(webhook.pk))
        context = {
            **self.admin_site.each_context(request),
            "title": title,
            "opts": self.opts,
            "form": form,
            "sentences": sentences,
            "button": button,
            "is_danger": is_danger,
            "back": _page_of(webhook.pk),
        }
        return TemplateResponse(request, "admin/webhooks/question.html", context)

    def _secret_page(self, request: HttpRequest, made: Made) -> HttpResponse:
        """The only page that shows the secret; not cached by browsers."""
        context = {
            **self.admin_site.each_context(request),
            "title": _("Secret of %(webhook)s") % {"webhook": made.webhook},
            "opts": self.opts,
            "secret": made.secret,
            "previous_until": made.webhook.previous_secret_until,
            "back": _page_of(made.webhook.pk),
        }
        page = TemplateResponse(request, "admin/webhooks/secret.html", context)
        add_never_cache_headers(page)
        return page


_MADE = "made_webhook"
"""The attribute of the request through which `save_model` passes the secret to `response_add`."""
SHOWN_ONCE = _("Its secret was shown once. Create a new one if it is lost.")


def _page_of(webhook_id: int) -> str:
    return reverse("admin:outbox_webhooksubscription_change", args=[webhook_id])


def _queued(count: int) -> str:
    sentence = ngettext("%(count)d message will be sent again.", "%(count)d messages will be sent again.", count)
    return sentence % {"count": count}
