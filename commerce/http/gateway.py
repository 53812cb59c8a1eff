"""What the gateway asks the web server before it lets a request through: is the token valid?

Owns the verdict on a token; never decides what its account may do. The endpoint that the request is for verifies the
token again.
"""

from http import HTTPStatus
from time import time

from django.http import HttpRequest, HttpResponse
from rest_framework.exceptions import AuthenticationFailed

from commerce.http.authentication import TokenAuthentication
from commerce.http.ending import is_ending
from commerce.http.health import read_only
from commerce.http.viewsets import ApiRequest

MOST_SECONDS = 3
"""How long the gateway may keep the verdict on a valid token."""
_KEPT_FOR = "X-Accel-Expires"
"""The header by which nginx is told so."""
_authentication = TokenAuthentication()


@read_only
def token(request: HttpRequest) -> HttpResponse:
    """204 for a valid access token, judged without the database; 401 for any other and for none.

    503 from a server that is about to end, to which the gateway then sends nothing more.
    """
    if is_ending():
        return _verdict(HTTPStatus.SERVICE_UNAVAILABLE)
    try:
        access = _authentication.token_of(ApiRequest(request))
    except AuthenticationFailed:
        access = None
    if access is None:
        return _verdict(HTTPStatus.UNAUTHORIZED)
    # 0: not at all. The token is valid still, for as long as clocks may differ.
    seconds = max(0, min(MOST_SECONDS, int(access["exp"] - time())))
    return _verdict(HTTPStatus.NO_CONTENT, keep_seconds=seconds)


def _verdict(status: HTTPStatus, *, keep_seconds: int | None = None) -> HttpResponse:
    response = HttpResponse(status=status)
    del response.headers["Content-Type"]
    if keep_seconds is not None:
        response.headers[_KEPT_FOR] = str(keep_seconds)
    return response
