"""What every request carries: an id, a language, a clock.

Owns `X-Request-ID`, the language of refusals and the request metrics; never looks into the request's meaning.
"""

import os
import re
import time
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.utils import translation
from prometheus_client import Counter, Histogram

from commerce.core import metrics
from commerce.core.logs import current_request
from commerce.http.headers import add_headers, remembered

HEADER = "X-Request-ID"
NO_ROUTE = "unknown"
"""What the metrics call the route of a path where there is nothing."""
# A method is whatever a client makes up, and a counter of its own is kept for ever.
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
SANE = re.compile(r"[A-Za-z0-9._:/+=-]{1,128}")


def request_id() -> str:
    """The id of the request this thread is answering; `-` outside one."""
    request = current_request.get()
    return "-" if request is None else str(request.request_id)


def new_request_id(environ: Mapping[str, Any]) -> str:
    """The caller's id where it sent a sane one, else one of our own: 128 random bits, as hexadecimal digits."""
    given = environ.get("HTTP_X_REQUEST_ID")
    return given if given and SANE.fullmatch(given) else os.urandom(16).hex()


def count_request(route: str, method: str | None, status: int, seconds: float) -> None:
    """Add one answered request to the metrics."""
    answered, duration = _meters(route, method if method in METHODS else "other", status)
    answered.inc()
    duration.observe(seconds)


@lru_cache(maxsize=4_096)
def _meters(route: str, method: str | None, status: int) -> tuple[Counter, Histogram]:
    # To find the counter of some labels takes longer than to count.
    template = route_template(route)
    return metrics.REQUESTS.labels(template, method, status), metrics.REQUEST_SECONDS.labels(template)


def route_template(route: str) -> str:
    """A route as the documentation writes it: `/api/products/{productId}`. `NO_ROUTE` stays what it is."""
    if route == NO_ROUTE:
        return route
    named = re.sub(r"\(\?P<(\w+)>[^)]*\)|<(?:\w+:)?(\w+)>", lambda match: f"{{{match[1] or match[2]}}}", route)
    return "/" + named.removeprefix("^").removesuffix("$").removesuffix(r"\Z")


@remembered
def _language_of(accept_language: str) -> str:
    """The language of ours that suits the header best."""
    request = HttpRequest()
    request.META["HTTP_ACCEPT_LANGUAGE"] = accept_language
    return translation.get_language_from_request(request)


class RequestContextMiddleware:
    """Outermost: even a request that fails before its view has an id and is counted."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        started = time.perf_counter()
        identifier = new_request_id(request.META)
        request.request_id = identifier  # type: ignore[attr-defined]  # our own mark on Django's request
        token = current_request.set(request)
        try:
            response = self._in_its_language(request)
        finally:
            current_request.reset(token)
        # Answers are private unless they say otherwise, as the cached lists do.
        add_headers(response, ((HEADER, identifier), ("Cache-Control", "no-store")))
        match = request.resolver_match
        seconds = time.perf_counter() - started
        count_request(match.route if match else NO_ROUTE, request.method, response.status_code, seconds)
        return response

    def _in_its_language(self, request: HttpRequest) -> HttpResponse:
        """Refusals speak the caller's language; no request leaves its language to the next one of its thread."""
        wanted = request.META.get("HTTP_ACCEPT_LANGUAGE")
        if wanted is None or (language := _language_of(wanted)) == settings.LANGUAGE_CODE:
            return self._get_response(request)
        with translation.override(language):
            return self._get_response(request)
