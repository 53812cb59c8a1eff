"""The refusals of a repeated request."""

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from commerce.core.errors import Conflict, Unprocessable


class IdempotencyKeyReused(Unprocessable):
    """The key was already used for another request of this caller."""

    code = "idempotency_key_reused"
    title = _("Idempotency key reused")

    @property
    def detail(self) -> str | Promise:
        return _("This Idempotency-Key was used for a request with another method, path or body. Use a new key.")


class RequestInProgress(Conflict):
    """The first request with this key has not finished."""

    code = "request_in_progress"
    title = _("Request in progress")
    retry_after_seconds = 1

    @property
    def detail(self) -> str | Promise:
        return _("The first request with this Idempotency-Key has not finished. Ask again in a moment.")
