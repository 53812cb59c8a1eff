"""The end of the way for an API request: its view, and nothing of what pages with a login need.

Owns the split between the API and the back-office, and the security headers of the API's answers.
"""

from collections.abc import Callable
from functools import partial
from typing import TypeAlias, cast

from django.conf import settings
from django.core.handlers.exception import convert_exception_to_response
from django.http import HttpRequest, HttpResponse
from django.middleware.security import SecurityMiddleware
from django.utils import translation

from commerce.http import ready_pages
from commerce.http.headers import add_headers, header_list
from commerce.http.routes import routes

_BACK_OFFICE = settings.BACK_OFFICE_PATH
PROBES = ("/readyz", "/metrics")
"""What operators and their machines ask; `/livez` is answered beside the API, without waiting for anything."""
_LONG = ("/api/schema", "/api/docs")
_QUICK = ("/livez", "/internal/token")

Answers: TypeAlias = Callable[[HttpRequest], HttpResponse]


def is_back_office(path: str) -> bool:
    """Whether the back-office answers a path, if only with its own 404."""
    return path.startswith(_BACK_OFFICE)


def may_block(path: str) -> bool:
    """Whether the answer to a path may take its thread for long: all but the API's endpoints and `_QUICK`."""
    return (not path.startswith("/api/") and path not in _QUICK) or path in _LONG


class ApiMiddleware:
    """Answers every path outside the back-office, so that the middleware behind it is the back-office's own."""

    def __init__(self, get_response: Answers) -> None:
        self._back_office = get_response
        self._api = _ApiSecurity(cast("Answers", convert_exception_to_response(_answer)))

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if not is_back_office(request.path_info):
            response = self._api(request)
            ready_pages.keep(request, partial(self._api.complete, request))
            return response
        # LocaleMiddleware chooses a language and leaves it to the thread, whose next request may be one of the API.
        with translation.override(translation.get_language()):
            return self._back_office(request)


def _answer(request: HttpRequest) -> HttpResponse:
    match = request.resolver_match = routes().find(request.path_info)
    response: HttpResponse = match.func(request, *match.args, **match.kwargs)
    return response if getattr(response, "is_rendered", True) else response.render()  # type: ignore[attr-defined]


class _ApiSecurity(SecurityMiddleware):
    """Django's, with its headers worked out once instead of for every answer."""

    def __init__(self, get_response: Answers) -> None:
        super().__init__(get_response)
        self._answer = get_response
        self._headers, self._secure_headers = (self._headers_of(is_secure) for is_secure in (False, True))

    def __call__(self, request: HttpRequest) -> HttpResponse:
        return self.complete(request, self.process_request(request) or self._answer(request))

    def complete(self, request: HttpRequest, response: HttpResponse) -> HttpResponse:
        """Add the headers to an answer."""
        secure = self.sts_seconds and request.is_secure()
        add_headers(response, self._secure_headers if secure else self._headers)
        return response

    def _headers_of(self, is_secure: bool) -> list[tuple[str, str]]:
        request, response = HttpRequest(), HttpResponse()
        request.is_secure = lambda: is_secure  # type: ignore[method-assign]  # for want of a connection
        del response.headers["Content-Type"]
        return header_list(self.process_response(request, response))
