"""Token verification for the gateway, which calls it before it forwards a request.

It does not check what the account may do. The endpoint of the request verifies the token again.
"""

from collections.abc import Callable, Iterable, Sequence
from http import HTTPStatus
from time import perf_counter, time
from typing import Any, cast

from django.http import HttpRequest, HttpResponse
from rest_framework.exceptions import AuthenticationFailed

from commerce.api.authentication import TokenAuthentication
from commerce.api.viewsets import one_of_each
from commerce.server.ending import is_ending
from commerce.server.health import read_only
from commerce.server.request_context import HEADER, count_request, new_request_id

Wsgi = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]

PATH = "/internal/token"
MOST_SECONDS = 3
"""How long the gateway may cache the result for a valid token."""
_KEPT_FOR = "X-Accel-Expires"
"""The response header that sets nginx's cache time."""
_ROUTE = "internal/token"
# That of the endpoints, so that a token is verified once for the gateway and for the request that it forwards.
_authentication = cast("TokenAuthentication", one_of_each((TokenAuthentication,))[0])


@read_only
def token(request: HttpRequest) -> HttpResponse:
    """204 for a valid access token, 401 otherwise. Uses no database.

    503 from a server that is about to stop; the gateway then sends it no more requests.
    """
    status, headers = _verdict(request.META.get("HTTP_AUTHORIZATION"))
    response = HttpResponse(status=status, headers=dict(headers))
    del response.headers["Content-Type"]
    return response


class TokenVerdicts:
    """A WSGI application that answers the gateway before Django handles the request, and forwards other requests."""

    def __init__(self, application: Wsgi) -> None:
        self._application = application

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        if environ["PATH_INFO"] != PATH or environ["REQUEST_METHOD"] != "GET" or is_ending():
            return self._application(environ, start_response)
        started = perf_counter()
        status, headers = _verdict(environ.get("HTTP_AUTHORIZATION"))
        own = ((HEADER, new_request_id(environ)), ("Cache-Control", "no-store"))
        start_response(f"{status} {status.phrase}", [*headers, *own])
        count_request(_ROUTE, "GET", status, perf_counter() - started)
        return ()


def _verdict(authorization: str | None) -> tuple[HTTPStatus, Sequence[tuple[str, str]]]:
    """The status and the headers for an `Authorization` header."""
    if is_ending():
        return HTTPStatus.SERVICE_UNAVAILABLE, ()
    try:
        access = _authentication.token_of(authorization)
    except AuthenticationFailed:
        access = None
    if access is None:
        return HTTPStatus.UNAUTHORIZED, ()
    # 0: do not cache. The token has expired, but is still valid within the tolerated clock difference.
    seconds = max(0, min(MOST_SECONDS, int(access["exp"] - time())))
    return HTTPStatus.NO_CONTENT, ((_KEPT_FOR, str(seconds)),)
