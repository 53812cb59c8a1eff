"""Middleware of the back-office: its uploads, and its refusals as pages.

Owns what Django's own middleware does not do for it; `commerce.http.api` keeps all of it away from the API.
"""

from collections.abc import Callable
from http import HTTPStatus
from threading import BoundedSemaphore
from typing import Any

from django.conf import settings
from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, QueryDict, UnreadablePostError
from django.utils.deprecation import MiddlewareMixin
from django.utils.translation import gettext as _
from rest_framework.exceptions import Throttled

from commerce.core.text import is_normal, normal
from commerce.http.refusal_pages import page, unavailable_page
from commerce.staff_pages import recent

UPLOADS_AT_ONCE = 2
"""In each process."""


class Uploads(MiddlewareMixin):
    """A body larger than those of the API is read only for a page that takes files, and only for staff.

    Before the forgery check, which reads the body to look for its token. An upload is read
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
        is_staff = request.user.is_active and request.user.is_staff
        if not (most_bytes and is_staff):
            sentence = "" if is_staff else _("Your session may have ended. Log in, and try again.")
            return _too_large(request, sentence)
        if length > most_bytes:
            return _back(request, _("The file is too large."))
        if not self._turns.acquire(blocking=False):
            return _back(request, _("Others are sending files right now. Try again in a moment."))
        try:
            # Asking for the files reads them.
            request.FILES  # noqa: B018
        except UnreadablePostError:
            return page(
                request,
                HTTPStatus.BAD_REQUEST,
                title=_("Invalid request"),
                sentence=_("The file did not arrive in full."),
            )
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


def _too_large(request: HttpRequest, sentence: str = "") -> HttpResponse:
    return page(request, HTTPStatus.REQUEST_ENTITY_TOO_LARGE, title=_("What you sent is too large."), sentence=sentence)


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


class ReadsOwnWrites(MiddlewareMixin):
    """With a replica only: a browser that has just written is not shown pages of before."""

    def process_response(self, request: HttpRequest, response: HttpResponse) -> HttpResponse:
        return recent.mark(request, response)


class Refusals(MiddlewareMixin):
    """Refusals outside of any page become a page, where the API would send a problem document."""

    def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponse | None:
        if isinstance(exception, Throttled):
            wait_seconds = getattr(exception, "wait", None) or 1
            return page(request, HTTPStatus.TOO_MANY_REQUESTS, title=_("Too many requests"), wait_seconds=wait_seconds)
        return unavailable_page(request, exception)

    def process_response(self, request: HttpRequest, response: HttpResponse) -> HttpResponse:
        # Django says no more than the status.
        if response.status_code != HTTPStatus.METHOD_NOT_ALLOWED or response.content:
            return response
        refusal = page(request, response.status_code)
        refusal.headers["Allow"] = response.headers["Allow"]
        return refusal
