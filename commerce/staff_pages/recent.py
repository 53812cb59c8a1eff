"""Which pages of staff may be read from a replica: histories and exports, unless this browser has just written.

Owns the mark that a browser has written; how old a replica may be is decided in `commerce.core.replica`.

The mark is a cookie that lasts longer than a replica may be behind. While a browser sends it, its pages are read from
the primary, so staff see what they have just done. Without the mark, all that it wrote is in the replica.
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
    """The result of `render`, read from the replica where that is allowed for this request."""
    if request.method not in _READING or COOKIE in request.COOKIES:
        return render()
    return replica.read(render)


def has_written(request: HttpRequest) -> None:
    """A request that only reads has left a row nevertheless."""
    request.META[COOKIE] = True


def mark(request: HttpRequest, response: HttpResponse) -> HttpResponse:
    """The answer, with the mark where the request has written, or may have."""
    if request.method not in _READING or COOKIE in request.META:
        response.set_cookie(
            COOKIE,
            "1",
            # A second more, for a browser that counts whole ones.
            max_age=math.ceil(settings.DATABASE_REPLICA_SECONDS) + 1,
            path=settings.BACK_OFFICE_PATH,
            secure=settings.HTTPS,
            httponly=True,
            samesite="Lax",
        )
    return response
