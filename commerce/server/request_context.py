"""Request id, language and duration of every request: `X-Request-ID`, the language of refusals, the request metrics."""

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
from commerce.server.headers import add_headers, remembered

HEADER = "X-Request-ID"
NO_ROUTE = "unknown"
"""The route in the metrics for unknown paths."""
# Clients can send any method, and each label value creates a counter that is kept forever.
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
SANE = re.compile(r"[A-Za-z0-9._:/+=-]{1,128}")


def request_id() -> str:
    """The id of the request that this thread is handling; `-` outside of requests."""
    request = current_request.get()
    return "-" if request is None else str(request.request_id)


def new_request_id(environ: Mapping[str, Any]) -> str:
    """The id sent by the caller if it is valid, otherwise 128 random bits in hexadecimal digits."""
    given = environ.get("HTTP_X_REQUEST_ID")
    return given if given and SANE.fullmatch(given) else os.urandom(16).hex()


def count_request(route: str, method: str | None, status: int, seconds: float) -> None:
    """Add one completed request to the metrics."""
    answered, duration = _meters(route, method if method in METHODS else "other", status)
    answered.inc()
    duration.observe(seconds)


@lru_cache(maxsize=4_096)
def _meters(route: str, method: str | None, status: int) -> tuple[Counter, Histogram]:
    # Cached, because looking up a labelled counter is slower than incrementing it.
    template = route_template(route)
    return metrics.REQUESTS.labels(template, method, status), metrics.REQUEST_SECONDS.labels(template)


def route_template(route: str) -> str:
    """A route as in the documentation: `/api/products/{productId}`. `NO_ROUTE` is returned unchanged."""
    if route == NO_ROUTE:
        return route
    named = re.sub(r"\(\?P<(\w+)>[^)]*\)|<(?:\w+:)?(\w+)>", lambda match: f"{{{match[1] or match[2]}}}", route)
    return "/" + named.removeprefix("^").removesuffix("$").removesuffix(r"\Z")


@remembered
def _language_of(accept_language: str) -> str:
    """The supported language that matches the header best."""
    request = HttpRequest()
    request.META["HTTP_ACCEPT_LANGUAGE"] = accept_language
    return translation.get_language_from_request(request)


class RequestContextMiddleware:
    """The outermost middleware: requests that fail before their view also get an id and are counted."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        started = time.perf_counter()
        identifier = new_request_id(request.META)
        request.request_id = identifier  # type: ignore[attr-defined]  # an attribute of ours on Django's request
        token = current_request.set(request)
        try:
            response = self._in_its_language(request)
        finally:
            current_request.reset(token)
        # Responses are private by default. The cached lists set their own header.
        add_headers(response, ((HEADER, identifier), ("Cache-Control", "no-store")))
        match = request.resolver_match
        seconds = time.perf_counter() - started
        count_request(match.route if match else NO_ROUTE, request.method, response.status_code, seconds)
        return response

    def _in_its_language(self, request: HttpRequest) -> HttpResponse:
        """Use the caller's language, and reset the language of the thread afterwards."""
        wanted = request.META.get("HTTP_ACCEPT_LANGUAGE")
        if wanted is None or (language := _language_of(wanted)) == settings.LANGUAGE_CODE:
            return self._get_response(request)
        with translation.override(language):
            return self._get_response(request)
