"""The WSGI application of a web process, whose requests share database connections.

A connection is returned as soon as the response of its request is complete.
"""

from collections.abc import Callable, Iterable
from typing import Any

from commerce.core.postgresql.base import give_back_connections
from commerce.core.postgresql.shared import SharedConnections, shared_by_requests

Wsgi = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


class SharingConnections:
    """A WSGI application whose requests borrow a database connection when they run their first query."""

    def __init__(self, application: Wsgi, shared: SharedConnections) -> None:
        self._application = application
        self._shared = shared

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        with shared_by_requests(self._shared, give_back_connections):
            response = self._application(environ, start_response)
            try:
                return [b"".join(response)]
            finally:
                # Django looks up its connections here.
                close = getattr(response, "close", None)
                if close is not None:
                    close()
