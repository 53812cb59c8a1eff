"""Django's WSGI handler, with a shorter path for API requests.

Creates the request object, ends its database work and returns the response to the server.
"""

from collections.abc import Callable, Iterable
from typing import Any

from django.core.handlers.wsgi import WSGIHandler, WSGIRequest
from django.http import HttpRequest, HttpResponse
from django.utils.log import log_response

from commerce.server.dispatch import is_back_office
from commerce.server.headers import header_list


class ShopHandler(WSGIHandler):
    """Handles the back-office exactly as Django does. For all other requests, it skips steps they do not need.

    Skipped for the API: the script prefix and the URL configuration of the thread, which are Django's defaults here;
    the signals `request_started` and `request_finished`, whose only relevant receiver is `close_old_connections`, while
    connections are checked when they are borrowed (`commerce.server.admission`); and the log line of a
    refusal, which the settings would drop.
    """

    _middleware_chain: Callable[[HttpRequest], HttpResponse]

    def __call__(  # type: ignore[override]  # WSGI needs an iterable
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
