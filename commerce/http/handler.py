"""Django's WSGI handler, with a shorter way for requests of the API.

Owns what surrounds the middleware: the request object, the end of its database work, the answer's way to the server.
"""

from collections.abc import Callable, Iterable
from typing import Any

from django.core.handlers.wsgi import WSGIHandler, WSGIRequest
from django.http import HttpRequest, HttpResponse
from django.utils.log import log_response

from commerce.http.api import is_back_office
from commerce.http.headers import header_list


class ShopHandler(WSGIHandler):
    """Answers the back-office exactly as Django does, and everything else without what only the former needs.

    Left out for the API: the script prefix and the URL configuration of the thread, which are Django's defaults here;
    the signals `request_started` and `request_finished`, of whose receivers only `close_old_connections` does
    something for it, and connections are looked at when they are borrowed (`commerce.http.admission`); the log line of
    a refusal, which the settings would drop.
    """

    _middleware_chain: Callable[[HttpRequest], HttpResponse]

    def __call__(  # type: ignore[override]  # WSGI wants something to iterate over
        self, environ: dict[str, Any], start_response: Callable[..., Any]
    ) -> Iterable[bytes]:
        if environ.get("SCRIPT_NAME") or is_back_office(environ["PATH_INFO"]):
            return super().__call__(environ, start_response)
        request = WSGIRequest(environ)
        response = self._middleware_chain(request)
        if response.status_code >= 500:
            message = "%s: %s"
            log_response(message, response.reason_phrase, request.path, response=response, request=request)
        start_response(f"{response.status_code} {response.reason_phrase}", header_list(response))
        return [response.content]
