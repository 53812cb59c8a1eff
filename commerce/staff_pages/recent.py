"""Reading histories and exports from a replica, unless this browser has just written.

A write sets a cookie that lasts longer than a replica may lag. While a browser sends it, its pages are read from the
primary, so staff see their own changes. `commerce.core.replica` checks the lag.
"""

import math
from collections.abc import Callable
from typing import TypeVar

from django.conf import settings
from django.http import HttpRequest, HttpResponse

from commerce.core import replica

T = TypeVar("T")

COOKIE = "wrote"
_READING = ("GET", "HEAD", "OPTIONS")


def read(request: HttpRequest, render: Callable[[], T]) -> T:
    """The result of `render`, read from the replica if this request may."""
    if request.method not in _READING or COOKIE in request.COOKIES:
        return render()
    return replica.read(render)


def has_written(request: HttpRequest) -> None:
    """Record that a GET request has written a row."""
    request.META[COOKIE] = True


def mark(request: HttpRequest, response: HttpResponse) -> HttpResponse:
    """The response, with the cookie if the request has or may have written."""
    if request.method not in _READING or COOKIE in request.META:
        response.set_cookie(
            COOKIE,
            "1",
            # A second more, because browsers round to whole seconds.
            max_age=math.ceil(settings.DATABASE_REPLICA_SECONDS) + 1,
            path=settings.BACK_OFFICE_PATH,
            secure=settings.HTTPS,
            httponly=True,
            samesite="Lax",
        )
    return response
