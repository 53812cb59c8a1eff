"""Token verification for the gateway, which calls it before it forwards a request.

It does not check what the account may do. The endpoint of the request verifies the token again.
"""

from http import HTTPStatus
from time import time
from typing import cast

from django.http import HttpRequest, HttpResponse
from rest_framework.exceptions import AuthenticationFailed

from commerce.api.authentication import TokenAuthentication
from commerce.api.viewsets import one_of_each
from commerce.server.ending import is_ending
from commerce.server.health import read_only

MOST_SECONDS = 3
"""How long the gateway may cache the result for a valid token."""
_KEPT_FOR = "X-Accel-Expires"
"""The response header that sets nginx's cache time."""
# That of the endpoints, so that a token is verified once for the gateway and for the request that it forwards.
_authentication = cast("TokenAuthentication", one_of_each((TokenAuthentication,))[0])


@read_only
def token(request: HttpRequest) -> HttpResponse:
    """204 for a valid access token, 401 otherwise. Uses no database.

    503 from a server that is about to stop; the gateway then sends it no more requests.
    """
    if is_ending():
        return _verdict(HTTPStatus.SERVICE_UNAVAILABLE)
    try:
        access = _authentication.token_of(request.META.get("HTTP_AUTHORIZATION"))
    except AuthenticationFailed:
        access = None
    if access is None:
        return _verdict(HTTPStatus.UNAUTHORIZED)
    # 0: do not cache. The token has expired, but is still valid within the tolerated clock difference.
    seconds = max(0, min(MOST_SECONDS, int(access["exp"] - time())))
    return _verdict(HTTPStatus.NO_CONTENT, keep_seconds=seconds)


def _verdict(status: HTTPStatus, *, keep_seconds: int | None = None) -> HttpResponse:
    response = HttpResponse(status=status)
    del response.headers["Content-Type"]
    if keep_seconds is not None:
        response.headers[_KEPT_FOR] = str(keep_seconds)
    return response
