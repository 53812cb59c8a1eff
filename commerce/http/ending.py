"""`Connection: close` on the answers of a web process that is about to end.

Owns the sign that it will end, a file; never ends anything.
"""

import os
from collections.abc import Callable

from django.conf import settings
from django.http import HttpRequest, HttpResponse


def is_ending() -> bool:
    """Whether the process has been asked to end."""
    file: str = settings.WEB_ENDING_FILE
    return bool(file) and os.path.exists(file)  # noqa: PTH110  # asked for every answer; a Path costs ten times as much


class CloseConnectionsWhileStopping:
    """Ends every connection with its next answer, so that none is cut with a request on its way."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self._get_response(request)
        if is_ending():
            response.headers["Connection"] = "close"
        return response
