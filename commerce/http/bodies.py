"""The bytes of a request's body: whole, or the request is not answered.

Owns the reading of them; never looks into them.
"""

import io
from collections.abc import Callable, Iterable
from threading import BoundedSemaphore
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from commerce.core.errors import DomainError, Refused, Unavailable
from commerce.http.problems import problem_response

REFUSAL = "commerce.body_refusal"
TURN_SECONDS = 1.0
"""How long a body waits to be read before its request is answered 503."""

Wsgi = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


class BodyCutShort(Refused):
    """The connection ended before the body did."""

    code = "validation_error"
    title = _("Invalid request")

    @property
    def detail(self) -> str | Promise:
        return _("The body did not arrive in full.")


class Overloaded(Unavailable):
    """More bodies are being sent than can be read in time."""

    code = "service_unavailable"
    title = _("Temporarily unavailable")

    @property
    def detail(self) -> str | Promise:
        return _("Too many requests at once. Nothing was changed.")


class WholeBodies:
    """WSGI: reads a body before anybody works for it, so that a slow client holds neither a place nor a connection.

    The web server hands out a thread and reads without a limit in time, and a read under way cannot be called back.
    So no more than `at_once` bodies are read at one time: however many clients dawdle, threads are left for those who
    only read and for the health checks. A proxy that buffers keeps dawdlers away altogether.

    A body in chunks has no length in advance; read, it has one. A body larger than `largest_bytes` is left unread:
    whoever wanted it will refuse it.
    """

    def __init__(self, application: Wsgi, *, largest_bytes: int, at_once: int) -> None:
        self._application = application
        self._largest_bytes = largest_bytes
        self._turns = BoundedSemaphore(at_once)

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        length = int(environ.get("CONTENT_LENGTH") or 0)
        in_chunks = not length and "HTTP_TRANSFER_ENCODING" in environ
        if in_chunks or 0 < length <= self._largest_bytes:
            try:
                body = self._read(environ["wsgi.input"], self._largest_bytes + 1 if in_chunks else length)
            except DomainError as refusal:
                environ[REFUSAL], body = refusal, b""
            else:
                if len(body) < length:
                    environ[REFUSAL] = BodyCutShort()
            environ["CONTENT_LENGTH"] = str(len(body))
            environ["wsgi.input"] = io.BytesIO(body)
        return self._application(environ, start_response)

    def _read(self, stream: Any, most_bytes: int) -> bytes:
        """What came until the end, however the connection ended. Raises Overloaded where too many are being read."""
        # In a rush many bodies come at one instant, and each is read within milliseconds.
        if not self._turns.acquire(timeout=TURN_SECONDS):
            raise Overloaded
        try:
            body: bytes = stream.read(most_bytes)
        except OSError:
            return b""
        finally:
            self._turns.release()
        return body


class BodyMiddleware:
    """Answers whoever's body did not come."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        refusal = request.META.get(REFUSAL)
        return problem_response(request, refusal) if refusal else self._get_response(request)
