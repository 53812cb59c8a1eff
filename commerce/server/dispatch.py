"""Separates the API from the back-office: API requests skip the middleware that only pages with a login need.

Also sets the security headers of API responses.
"""

from collections.abc import Callable
from functools import partial
from typing import TypeAlias, cast

from django.conf import settings
from django.core.handlers.exception import convert_exception_to_response
from django.http import HttpRequest, HttpResponse
from django.middleware.security import SecurityMiddleware
from django.utils import translation

from commerce.server import ready_pages
from commerce.server.headers import add_headers, header_list
from commerce.server.routes import routes

_BACK_OFFICE = settings.BACK_OFFICE_PATH
PROBES = ("/readyz", "/metrics")
"""Paths for operators and monitoring. `/livez` is answered outside the API, and waits for nothing."""
_LONG = ("/api/schema", "/api/docs")
_QUICK = ("/livez", "/internal/token")

Answers: TypeAlias = Callable[[HttpRequest], HttpResponse]


def is_back_office(path: str) -> bool:
    """Whether a path belongs to the back-office, including paths that it answers with its own 404."""
    return path.startswith(_BACK_OFFICE)


def may_block(path: str) -> bool:
    """Whether the response may block its thread for long: all paths except the API's endpoints and `_QUICK`."""
    return (not path.startswith("/api/") and path not in _QUICK) or path in _LONG


class ApiMiddleware:
    """Handles every path outside of the back-office. The middleware after it only runs for the back-office."""

    def __init__(self, get_response: Answers) -> None:
        self._back_office = get_response
        self._api = _ApiSecurity(cast("Answers", convert_exception_to_response(_answer)))

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if not is_back_office(request.path_info):
            response = self._api(request)
            ready_pages.keep(request, partial(self._api.complete, request))
            return response
        # LocaleMiddleware activates a language for the thread, whose next request may belong to the API.
        with translation.override(translation.get_language()):
            return self._back_office(request)


def _answer(request: HttpRequest) -> HttpResponse:
    match = request.resolver_match = routes().find(request.path_info)
    response: HttpResponse = match.func(request, *match.args, **match.kwargs)
    return response if getattr(response, "is_rendered", True) else response.render()  # type: ignore[attr-defined]


class _ApiSecurity(SecurityMiddleware):
    """Django's middleware, with headers that are computed once instead of for each response."""

    def __init__(self, get_response: Answers) -> None:
        super().__init__(get_response)
        self._answer = get_response
        self._headers, self._secure_headers = (self._headers_of(is_secure) for is_secure in (False, True))

    def __call__(self, request: HttpRequest) -> HttpResponse:
        return self.complete(request, self.process_request(request) or self._answer(request))

    def complete(self, request: HttpRequest, response: HttpResponse) -> HttpResponse:
        """Add the headers to a response."""
        secure = self.sts_seconds and request.is_secure()
        add_headers(response, self._secure_headers if secure else self._headers)
        return response

    def _headers_of(self, is_secure: bool) -> list[tuple[str, str]]:
        request, response = HttpRequest(), HttpResponse()
        request.is_secure = lambda: is_secure  # type: ignore[method-assign]  # there is no connection
        del response.headers["Content-Type"]
        return header_list(self.process_response(request, response))
