"""The WSGI application of a web process, whose requests share database connections.

Owns when a request's connection is given back: once its answer is made.
"""

from collections.abc import Callable, Iterable
from typing import Any

from commerce.core.postgresql.base import give_back_connections
from commerce.core.postgresql.shared import SharedConnections, shared_by_requests

Wsgi = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


class SharingConnections:
    """WSGI: answers each request on a connection that it borrows when it first asks the database something."""

    def __init__(self, application: Wsgi, shared: SharedConnections) -> None:
        self._application = application
        self._shared = shared

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        with shared_by_requests(self._shared, give_back_connections):
            response = self._application(environ, start_response)
            try:
                return [b"".join(response)]
            finally:
                # Where Django looks after its connections.
                close = getattr(response, "close", None)
                if close is not None:
                    close()
