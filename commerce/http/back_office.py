"""Middleware of the back-office: its uploads, and its refusals as pages.

Owns what Django's own middleware does not do for it; `commerce.http.api` keeps all of it away from the API.
"""

import math
import sys
from collections.abc import Callable
from copy import copy
from threading import BoundedSemaphore
from typing import Any

from django.conf import settings
from django.contrib import admin, messages
from django.contrib.auth.models import AnonymousUser
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, QueryDict, UnreadablePostError
from django.template.loader import render_to_string
from django.utils.deprecation import MiddlewareMixin
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from rest_framework.exceptions import Throttled

from commerce.core.database_errors import unavailable
from commerce.core.text import is_normal, normal
from commerce.http import problems
from commerce.http.api import is_back_office

UPLOADS_AT_ONCE = 2
"""In each process."""


class Uploads(MiddlewareMixin):
    """A body larger than those of the API is read only for a page that takes files, and only for staff.

    Before the forgery check, which reads the body of whoever comes to look for its token in it. An upload is read
    while it holds one of the process's places, so few are read at one time.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        super().__init__(get_response)
        self._turns = BoundedSemaphore(UPLOADS_AT_ONCE)

    def process_view(self, request: HttpRequest, view: Callable[..., Any], *arguments: Any) -> HttpResponse | None:
        length = int(request.META.get("CONTENT_LENGTH") or 0)
        if length <= settings.DATA_UPLOAD_MAX_MEMORY_SIZE:
            return None
        most_bytes = getattr(view, "most_upload_bytes", 0)
        if not (most_bytes and request.user.is_active and request.user.is_staff):
            return _plain(_("What you sent is too large."), status=413)
        if length > most_bytes:
            return _back(request, _("The file is too large."))
        if not self._turns.acquire(blocking=False):
            return _back(request, _("Others are sending files right now. Try again in a moment."))
        try:
            # Asking for the files reads them.
            request.FILES  # noqa: B018
        except UnreadablePostError:
            return _plain(_("The file did not arrive in full."), status=400)
        finally:
            self._turns.release()
        return None


class NormalText(MiddlewareMixin):
    """What staff type arrives in the normal form of `commerce.core.text`, on every page.

    Behind `Uploads`, because reading a form reads the whole body.
    """

    def process_view(self, request: HttpRequest, *_arguments: Any) -> None:
        request.GET = _normal(request.GET)  # type: ignore[assignment]  # both are immutable
        try:
            request.POST = _normal(request.POST)  # type: ignore[assignment]
        except UnreadablePostError:
            # The forgery check, or the page, meets it again and answers.
            return


def _normal(values: QueryDict) -> QueryDict:
    """The same values in their normal form."""
    if all(is_normal(value) for _name, given in values.lists() for value in given):
        return values
    normalized = values.copy()
    for name, given in values.lists():
        normalized.setlist(name, [normal(value) for value in given])
    normalized._mutable = False
    return normalized


def _back(request: HttpRequest, sentence: str) -> HttpResponse:
    """To the page that it came from, which says why."""
    messages.error(request, sentence)
    return HttpResponseRedirect(request.path)


def _plain(sentence: str, *, status: int) -> HttpResponse:
    return HttpResponse(sentence, status=status, content_type="text/plain; charset=utf-8")


class ContentSecurity(MiddlewareMixin):
    """The pages load nothing from elsewhere, send forms nowhere else, and stand in nobody's frame.

    Scripts within a page stay allowed: those of the library's pages are, and Alpine evaluates its attributes.
    """

    POLICY = (
        "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval'; style-src 'self' 'unsafe-inline'; "
        "img-src 'self' data: blob:; font-src 'self' data:; object-src 'none'; base-uri 'self'; form-action 'self'; "
        "frame-ancestors 'none'"
    )

    def process_response(self, request: HttpRequest, response: HttpResponse) -> HttpResponse:
        response.headers.setdefault("Content-Security-Policy", self.POLICY)
        return response


class Refusals(MiddlewareMixin):
    """Whoever must wait is told so in a page, where the API would send a problem document."""

    def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponse | None:
        if isinstance(exception, Throttled):
            wait_seconds = getattr(exception, "wait", None) or 1
            return _held_back(request, _("Too many requests"), "", wait_seconds, status=429)
        return _unavailable(request, exception)


def server_error(request: HttpRequest) -> HttpResponse:
    """`handler500`: a crash outside of every view, such as in the look-up of a session while the database is away."""
    error = sys.exc_info()[1]
    page = _unavailable(request, error) if is_back_office(request.path_info) and isinstance(error, Exception) else None
    return page or problems.server_error(request)


def _unavailable(request: HttpRequest, error: Exception) -> HttpResponse | None:
    """The page for an error that passes, None for any other."""
    refusal = unavailable(error)
    if refusal is None:
        return None
    return _held_back(request, refusal.title, refusal.detail, refusal.retry_after_seconds, status=503)


def _held_back(
    request: HttpRequest, title: str | Promise, sentence: str | Promise, wait_seconds: float, *, status: int
) -> HttpResponse:
    """Drawn as for a stranger: who is there, the database would have to say."""
    stranger = copy(request)
    stranger.user = AnonymousUser()
    shown = {
        **admin.site.each_context(stranger),
        "title": title,
        "sentence": sentence,
        "wait_seconds": max(1, math.ceil(wait_seconds)),
    }
    response = HttpResponse(render_to_string("admin/held_back.html", shown), status=status)
    response.headers["Retry-After"] = str(shown["wait_seconds"])
    return response
