"""The span of a request. The middleware is only in `MIDDLEWARE` while tracing is on.

Pages served from the memory of the process (`commerce.server.ready_pages`) have no span.
"""

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse

from commerce.core import tracing
from commerce.server.request_context import METHODS, NO_ROUTE, request_id, route_template

SERVER_ERROR = 500


class TracingMiddleware:
    """Continues the caller's trace (`traceparent`) or starts a new one."""

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
