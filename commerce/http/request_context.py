"""What every request carries: an id, a language, a clock.

Owns `X-Request-ID`, the language of refusals and the request metrics; never looks into the request's meaning.
"""

import logging
import re
import time
import uuid
from collections.abc import Callable
from contextvars import ContextVar
from http import HTTPStatus

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.utils import translation

from commerce.core import metrics

HEADER = "X-Request-ID"
# A method is whatever a client makes up, and a counter of its own is kept for ever.
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
SANE = re.compile(r"[A-Za-z0-9._:/+=-]{1,128}")
_current: ContextVar[str] = ContextVar("request_id", default="-")


def request_id() -> str:
    """The id of the request this thread is answering; `-` outside one."""
    return _current.get()


class RequestIdFilter(logging.Filter):
    """Gives every log line the id of its request."""

    def filter(self, record: logging.LogRecord) -> bool:
        # Django logs a failed request once it has left the middleware, and brings the request along.
        record.request_id = getattr(getattr(record, "request", None), "request_id", request_id())
        return True


class UnavailableFilter(logging.Filter):
    """Leaves out answers with 503: in a rush there would be a line for each. The metrics count them."""

    def filter(self, record: logging.LogRecord) -> bool:
        return getattr(record, "status_code", None) != HTTPStatus.SERVICE_UNAVAILABLE


def _language_of(request: HttpRequest) -> str:
    if "HTTP_ACCEPT_LANGUAGE" not in request.META:
        return settings.LANGUAGE_CODE
    return translation.get_language_from_request(request)


class RequestContextMiddleware:
    """Outermost: even a request that fails before its view has an id and is counted."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        started = time.perf_counter()
        given = request.META.get("HTTP_X_REQUEST_ID", "")
        identifier = given if SANE.fullmatch(given) else uuid.uuid4().hex
        request.request_id = identifier  # type: ignore[attr-defined]  # our own mark on Django's request
        token = _current.set(identifier)
        try:
            # Refusals speak the caller's language; a thread may still have that of its last request.
            with translation.override(_language_of(request)):
                response = self.get_response(request)
        finally:
            _current.reset(token)
        response.headers[HEADER] = identifier
        match = request.resolver_match
        route = match.route if match else "unknown"
        method = request.method if request.method in METHODS else "other"
        metrics.REQUESTS.labels(route, method, response.status_code).inc()
        metrics.REQUEST_SECONDS.labels(route).observe(time.perf_counter() - started)
        return response
