"""Error pages of the back-office, and the error handlers of the project. The API sends problem documents instead."""

import math
import sys
from copy import copy
from http import HTTPStatus
from urllib.parse import urlsplit

from django.contrib import admin
from django.contrib.auth.models import AnonymousUser
from django.http import HttpRequest, HttpResponse
from django.template.loader import render_to_string
from django.utils import translation
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from commerce.core.database_errors import unavailable
from commerce.server import problems
from commerce.server.dispatch import is_back_office
from commerce.server.request_context import request_id

Text = str | Promise

_SENTENCES: dict[int, tuple[Text, Text]] = {
    HTTPStatus.BAD_REQUEST: (
        _("Invalid request"),
        _("The address or the form has an invalid value. Nothing was changed."),
    ),
    HTTPStatus.FORBIDDEN: (
        _("Permission denied"),
        _("Your account lacks the permission. Nothing was changed. A superuser can give you a role that has it."),
    ),
    HTTPStatus.NOT_FOUND: (
        _("Page not found"),
        _("There is no page at this address, or what it showed does not exist."),
    ),
    HTTPStatus.METHOD_NOT_ALLOWED: (
        _("Not a page"),
        _("This address only accepts the form of a page. Nothing was changed."),
    ),
    HTTPStatus.INTERNAL_SERVER_ERROR: (_("Internal error"), _("An internal error has occurred and was logged.")),
}


def page(
    request: HttpRequest, status: int, *, title: Text = "", sentence: Text = "", wait_seconds: float = 0
) -> HttpResponse:
    """The page for a status. `title` and `sentence` replace the defaults, `wait_seconds` adds `Retry-After`.

    It is rendered as for an anonymous visitor, so it needs neither the database nor a session.
    """
    usual_title, usual_sentence = _SENTENCES.get(status, ("", ""))
    visitor = copy(request)
    visitor.user = AnonymousUser()
    # An error can occur before the middleware that selects the language.
    with translation.override(translation.get_language_from_request(request)):
        shown = {
            **admin.site.each_context(visitor),
            "title": title or usual_title,
            "sentence": sentence if title else sentence or usual_sentence,
            "wait_seconds": max(1, math.ceil(wait_seconds)) if wait_seconds else None,
            "back": _page_before(request),
            "request_id": request_id() if status >= HTTPStatus.INTERNAL_SERVER_ERROR else "",
        }
        response = HttpResponse(render_to_string("admin/refusal.html", shown), status=status)
    if shown["wait_seconds"]:
        response.headers["Retry-After"] = str(shown["wait_seconds"])
    return response


def unavailable_page(request: HttpRequest, error: Exception) -> HttpResponse | None:
    """The page for a temporary error, None for any other."""
    refusal = unavailable(error)
    if refusal is None:
        return None
    return page(
        request,
        HTTPStatus.SERVICE_UNAVAILABLE,
        title=refusal.title,
        sentence=refusal.detail,
        wait_seconds=refusal.retry_after_seconds,
    )


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    """`handler400`."""
    if is_back_office(request.path_info):
        return page(request, HTTPStatus.BAD_REQUEST)
    return problems.bad_request(request, exception)


def permission_denied(request: HttpRequest, exception: Exception) -> HttpResponse:
    """`handler403`."""
    if is_back_office(request.path_info):
        return page(request, HTTPStatus.FORBIDDEN)
    return problems.permission_denied(request, exception)


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    """`handler404`."""
    if is_back_office(request.path_info):
        return page(request, HTTPStatus.NOT_FOUND)
    return problems.not_found(request, exception)


def server_error(request: HttpRequest) -> HttpResponse:
    """`handler500`: an error outside of every API view, such as a failed session lookup without a database."""
    if not is_back_office(request.path_info):
        return problems.server_error(request)
    error = sys.exc_info()[1]
    known = unavailable_page(request, error) if isinstance(error, Exception) else None
    return known or page(request, HTTPStatus.INTERNAL_SERVER_ERROR)


def _page_before(request: HttpRequest) -> str:
    """The path of the back-office page that led here; empty if it is on another site or this page itself."""
    before = urlsplit(request.META.get("HTTP_REFERER", ""))
    path = f"{before.path}?{before.query}" if before.query else before.path
    is_ours = before.netloc == request.META.get("HTTP_HOST") and is_back_office(before.path)
    return path if is_ours and path != request.get_full_path() else ""
