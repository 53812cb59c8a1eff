"""What a request is answered whose body did not arrive. `commerce.http.server` reads bodies."""

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from commerce.core.errors import Refused
from commerce.http.problems import problem_response

REFUSAL = "commerce.body_refusal"
"""Where the WSGI environment has the refusal."""


class BodyCutShort(Refused):
    """The connection, or the time for it, ended before the body did."""

    code = "validation_error"
    title = _("Invalid request")

    @property
    def detail(self) -> str | Promise:
        return _("The body did not arrive in full.")


class BodyMiddleware:
    """Refuses requests whose body did not arrive."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        refusal = request.META.get(REFUSAL)
        return problem_response(request, refusal) if refusal else self._get_response(request)
