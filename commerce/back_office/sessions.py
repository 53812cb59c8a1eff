"""The page with one's own sessions, and a button that ends one."""

import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from django.conf import settings
from django.contrib import admin, messages
from django.contrib.auth import HASH_SESSION_KEY, get_user_model
from django.contrib.auth.signals import user_logged_in
from django.contrib.sessions.models import Session
from django.db import transaction
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop
from django.views.decorators.http import require_POST

from commerce.api.throttling import client_address
from commerce.audit.record import Staff, record
from commerce.back_office.models import MOST_CHARACTERS_OF_A_BROWSER, StaffSession
from commerce.staff_access.session_ends import SEEN_AT
from commerce.staff_pages.pages import staff_id

ENDED = gettext_noop("Session ended")
MOST_SHOWN = 100


@dataclass(frozen=True)
class Open:
    """An open session; `seen_at` is accurate to a minute."""

    row: StaffSession
    seen_at: datetime | None
    is_this_one: bool


def urls() -> list[URLPattern]:
    """The pages, below the back-office's own."""
    return [
        path("sessions/", admin.site.admin_view(page), name="sessions"),
        path("sessions/<int:number>/end/", admin.site.admin_view(require_POST(end)), name="session_end"),
    ]


def note_login(sender: Any, request: HttpRequest, user: Any, **_signal: Any) -> None:
    """Store the session of an account; called at every login of the back-office."""
    _tidy(user.pk)
    _note(request, user.pk)


def _note(request: HttpRequest, owner_id: int) -> None:
    if not request.session.session_key:
        return
    StaffSession.objects.get_or_create(
        session_key=request.session.session_key,
        defaults={
            "owner_id": owner_id,
            "address": client_address(request)[:64],
            "browser": request.META.get("HTTP_USER_AGENT", "")[:MOST_CHARACTERS_OF_A_BROWSER],
        },
    )


def connect() -> None:
    user_logged_in.connect(note_login, dispatch_uid="commerce.back_office.sessions")


def page(request: HttpRequest) -> HttpResponse:
    """The list of one's own sessions."""
    # A password change gives the session a new key, and older sessions may not be stored.
    _note(request, staff_id(request))
    context = {
        **admin.site.each_context(request),
        "title": _("Sessions"),
        "sessions": _open(request.user, this=request.session.session_key),
    }
    return TemplateResponse(request, "admin/sessions.html", context)


def end(request: HttpRequest, number: int) -> HttpResponse:
    """End one of one's own sessions. Raises Http404 for another account's."""
    with transaction.atomic():
        row = get_object_or_404(StaffSession.objects.select_for_update(), pk=number, owner_id=staff_id(request))
        Session.objects.filter(session_key=row.session_key).delete()
        record(Staff(staff_id(request)), ENDED, get_user_model()(pk=row.owner_id), before={"address": row.address})
        row.delete()
    if row.session_key == request.session.session_key:
        request.session.flush()
        return HttpResponseRedirect(reverse("admin:login"))
    messages.success(request, _("The session is ended."))
    return HttpResponseRedirect(reverse("admin:sessions"))


def _open(owner: Any, *, this: str | None) -> list[Open]:
    rows = StaffSession.objects.filter(owner_id=owner.pk).order_by("-pk")[:MOST_SHOWN]
    keys = [row.session_key for row in rows]
    held = Session.objects.filter(session_key__in=keys, expire_date__gt=timezone.now())
    values = {session.session_key: session.get_decoded() for session in held}
    return [
        Open(row, _moment(values[row.session_key].get(SEEN_AT)), row.session_key == this)
        for row in rows
        if row.session_key in values and _holds(values[row.session_key], owner)
    ]


def _holds(values: dict[str, Any], owner: Any) -> bool:
    """Whether the session is still valid: made with the current password, and not idle for too long."""
    hashes = {owner.get_session_auth_hash(), *owner.get_session_auth_fallback_hash()}
    idle_seconds = time.time() - values.get(SEEN_AT, time.time())
    return values.get(HASH_SESSION_KEY) in hashes and idle_seconds < settings.SESSION_IDLE_MINUTES * 60


def _tidy(owner_id: int) -> None:
    """Delete rows of this account whose session has ended."""
    held = Session.objects.filter(expire_date__gt=timezone.now()).values("session_key")
    StaffSession.objects.filter(owner_id=owner_id).exclude(session_key__in=held).delete()


def _moment(seconds: Any) -> datetime | None:
    return datetime.fromtimestamp(seconds, tz=UTC) if isinstance(seconds, int) else None
