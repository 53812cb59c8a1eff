"""What the gateway asks the web server before it lets a request through: is the token valid?

Owns the verdict on a token; never decides what its account may do. The endpoint that the request is for verifies the
token again.
"""

from http import HTTPStatus
from time import time

from django.db import DatabaseError, InterfaceError
from django.http import HttpRequest, HttpResponse
from rest_framework.exceptions import AuthenticationFailed

from commerce.http.authentication import TokenAuthentication
from commerce.http.ending import is_ending
from commerce.http.health import read_only
from commerce.http.problems import problem_response
from commerce.http.viewsets import ApiRequest, one_of_each

MOST_SECONDS = 3
"""How long the gateway may keep the verdict on a valid token."""
_KEPT_FOR = "X-Accel-Expires"
"""The header by which nginx is told so."""


@read_only
def token(request: HttpRequest) -> HttpResponse:
    """204 for a valid access token, 401 for any other and for none; 503 from a server that is about to end, to which
    the gateway then sends nothing more.

    A customer's token is judged by its signature alone; staff are looked up.
    """
    if is_ending():
        return _verdict(HTTPStatus.SERVICE_UNAVAILABLE)
    [authentication] = one_of_each((TokenAuthentication,))
    try:
        found = authentication.authenticate(ApiRequest(request))
    except AuthenticationFailed:
        found = None
    except (DatabaseError, InterfaceError) as error:
        return problem_response(request, error)
    if found is None:
        return _verdict(HTTPStatus.UNAUTHORIZED)
    seconds_left = int(found[1]["exp"] - time())
    # 0: not at all. The token is valid still, for as long as clocks may differ.
    return _verdict(HTTPStatus.NO_CONTENT, keep_seconds=max(0, min(MOST_SECONDS, seconds_left)))


def _verdict(status: HTTPStatus, *, keep_seconds: int | None = None) -> HttpResponse:
    response = HttpResponse(status=status)
    del response.headers["Content-Type"]
    if keep_seconds is not None:
        response.headers[_KEPT_FOR] = str(keep_seconds)
    return response
