"""`Connection: close` on the responses of a web process that is about to stop.

The server announces its stop with a file. This module only reads it.
"""

import os
from collections.abc import Callable

from django.conf import settings
from django.http import HttpRequest, HttpResponse


def is_ending() -> bool:
    """Whether the process has been asked to stop."""
    file: str = settings.WEB_ENDING_FILE
    return bool(file) and os.path.exists(file)  # noqa: PTH110  # called for every response; a Path is ten times slower


class CloseConnectionsWhileStopping:
    """Closes each connection after its next response, so that no request is lost when the server stops."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self._get_response(request)
        if is_ending():
            response.headers["Connection"] = "close"
        return response
