"""Middleware of the back-office: uploads, text normalization, content security and error pages.

`commerce.server.dispatch` keeps all of it away from the API.
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
from commerce.staff_access.refusal_pages import page, unavailable_page
from commerce.staff_pages import recent

UPLOADS_AT_ONCE = 2
"""Uploads that each process reads at the same time."""


class Uploads(MiddlewareMixin):
    """Accepts bodies larger than those of the API only for pages that take files, and only from staff.

    Runs before the CSRF check, which reads the body to find its token. A limited number of uploads is read at the same
    time in each process.
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
            return _back(request, _("Other files are being uploaded. Try again in a moment."))
        try:
            # Accessing the files reads the body.
            request.FILES  # noqa: B018
        except UnreadablePostError:
            return page(
                request,
                HTTPStatus.BAD_REQUEST,
                title=_("Invalid request"),
                sentence=_("The file is incomplete."),
            )
        finally:
            self._turns.release()
        return None


class NormalText(MiddlewareMixin):
    """Normalizes the form data of all pages to the form of `commerce.core.text`.

    Runs after `Uploads`, because reading a form reads the whole body.
    """

    def process_view(self, request: HttpRequest, *_arguments: Any) -> None:
        request.GET = _normal(request.GET)  # type: ignore[assignment]  # both are immutable
        try:
            request.POST = _normal(request.POST)  # type: ignore[assignment]
        except UnreadablePostError:
            # The CSRF check or the page gets the same error again, and responds.
            return


def _normal(values: QueryDict) -> QueryDict:
    """The same values, normalized."""
    if all(is_normal(value) for _name, given in values.lists() for value in given):
        return values
    normalized = values.copy()
    for name, given in values.lists():
        normalized.setlist(name, [normal(value) for value in given])
    normalized._mutable = False
    return normalized


def _back(request: HttpRequest, sentence: str) -> HttpResponse:
    """Redirect to the page that sent the request, with a message."""
    messages.error(request, sentence)
    return HttpResponseRedirect(request.path)


def _too_large(request: HttpRequest, sentence: str = "") -> HttpResponse:
    return page(request, HTTPStatus.REQUEST_ENTITY_TOO_LARGE, title=_("The upload is too large."), sentence=sentence)


class ContentSecurity(MiddlewareMixin):
    """Content security policy: no resources from other sites, no forms to other sites, no framing.

    Inline scripts are allowed, because the library's pages contain some and Alpine evaluates attributes.
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
    """Reads of a browser that has just written go to the primary. Only needed with a replica."""

    def process_response(self, request: HttpRequest, response: HttpResponse) -> HttpResponse:
        return recent.mark(request, response)


class Refusals(MiddlewareMixin):
    """Turns refusals that are raised outside of a page into a page. The API sends a problem document instead."""

    def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponse | None:
        if isinstance(exception, Throttled):
            wait_seconds = getattr(exception, "wait", None) or 1
            return page(request, HTTPStatus.TOO_MANY_REQUESTS, title=_("Too many requests"), wait_seconds=wait_seconds)
        return unavailable_page(request, exception)

    def process_response(self, request: HttpRequest, response: HttpResponse) -> HttpResponse:
        # Django's response contains nothing but the status.
        if response.status_code != HTTPStatus.METHOD_NOT_ALLOWED or response.content:
            return response
        refusal = page(request, response.status_code)
        refusal.headers["Allow"] = response.headers["Allow"]
        return refusal
