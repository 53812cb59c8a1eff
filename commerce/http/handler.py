"""Django's WSGI handler, with a shorter way for requests of the API.

Owns what surrounds the middleware: the request object, the end of its database work, the answer's way to the server.
"""

from collections.abc import Callable, Iterable
from typing import Any

from django.core.handlers.wsgi import WSGIHandler, WSGIRequest
from django.db import close_old_connections
from django.http import HttpRequest, HttpResponse
from django.utils.log import log_response

from commerce.http.api import is_back_office
from commerce.http.headers import header_list


class ShopHandler(WSGIHandler):
    """Answers the back-office exactly as Django does, and everything else without what only the former needs.

    Left out for the API: the script prefix and the URL configuration of the thread, which are Django's defaults here;
    the signals `request_started` and `request_finished`, of whose receivers only `close_old_connections` does
    something for it; the log line of a refusal, which the settings would drop.
    """

    _middleware_chain: Callable[[HttpRequest], HttpResponse]

    def __call__(  # type: ignore[override]  # WSGI wants something to iterate over
        self, environ: dict[str, Any], start_response: Callable[..., Any]
    ) -> Iterable[bytes]:
        if environ.get("SCRIPT_NAME") or is_back_office(environ["PATH_INFO"]):
            return super().__call__(environ, start_response)
        try:
            request = WSGIRequest(environ)
            response = self._middleware_chain(request)
        finally:
            # A connection that failed is replaced, and a good one looked at again before its next use.
            close_old_connections()
        if response.status_code >= 500:
            message = "%s: %s"
            log_response(message, response.reason_phrase, request.path, response=response, request=request)
        start_response(f"{response.status_code} {response.reason_phrase}", header_list(response))
        return [response.content]
