"""The span of a request, around everything that answers it. In `MIDDLEWARE` only while traces are on.

A page that comes from the memory of the process (`commerce.http.ready_pages`) has none.
"""

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse

from commerce.core import tracing
from commerce.http.request_context import METHODS, NO_ROUTE, request_id, route_template

SERVER_ERROR = 500


class TracingMiddleware:
    """Goes on with the trace that the caller names (`traceparent`), or begins one."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        method = request.method if request.method in METHODS else "other"
        span = tracing.begin(
            str(method),
            kind=tracing.SERVER,
            parent=request.META.get("HTTP_TRACEPARENT", ""),
            attributes={"http.request.method": str(method), "commerce.request_id": request_id()},
        )
        with tracing.current(span):
            response = self._get_response(request)
        route = route_template(request.resolver_match.route if request.resolver_match else NO_ROUTE)
        span.update_name(f"{method} {route}")
        span.set_attribute("http.route", route)
        span.set_attribute("http.response.status_code", response.status_code)
        tracing.end(span, error=response.reason_phrase if response.status_code >= SERVER_ERROR else "")
        return response
