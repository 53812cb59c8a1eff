"""The refusal of a request whose body did not arrive completely. Bodies are read by `commerce.server.application`."""

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from commerce.core.errors import Refused
from commerce.server.problems import problem_response

REFUSAL = "commerce.body_refusal"
"""Key of the refusal in the WSGI environment."""


class BodyCutShort(Refused):
    """The connection or the time limit ended before the body was complete."""

    code = "validation_error"
    title = _("Invalid request")

    @property
    def detail(self) -> str | Promise:
        return _("The body is incomplete.")


class BodyMiddleware:
    """Refuses requests whose body did not arrive completely."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        refusal = request.META.get(REFUSAL)
        return problem_response(request, refusal) if refusal else self._get_response(request)
