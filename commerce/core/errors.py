"""Base classes of the shop's refusals. Each app's `errors.py` defines its own subclasses.

A refusal has a code, a title, a detail and fields. This module does not depend on HTTP.
"""

from collections.abc import Mapping
from typing import Any, ClassVar

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _


class DomainError(Exception):
    """A use case was refused and changed nothing.

    A subclass defines a stable `code` (clients branch on it) and a translated `title`. `detail` explains the refusal to
    a person, `fields` to a program.
    """

    code: ClassVar[str]
    title: ClassVar[str | Promise]

    @property
    def detail(self) -> str | Promise:
        """One sentence for a person, in the language of the request."""
        return ""

    @property
    def fields(self) -> Mapping[str, Any]:
        """Details for programs: JSON values by camelCase name."""
        return {}

    def __str__(self) -> str:
        return str(self.detail or self.title)


class Refused(DomainError):
    """The request is valid, but a business rule forbids it. A retry alone does not help."""


class NotFound(DomainError):
    """What the request names does not exist for this caller."""


class Forbidden(DomainError):
    """The caller is not allowed to do this."""


class Unauthenticated(DomainError):
    """The caller is not authenticated."""


class Conflict(DomainError):
    """The state of the row does not allow the request."""


class ChangedMeanwhile(Conflict):
    """Somebody else has changed it since it was read."""

    code = "changed_meanwhile"
    title = _("Changed meanwhile")

    @property
    def detail(self) -> str | Promise:
        return _("Somebody else has changed this since the page was opened. Nothing was saved; open the page again.")


def require_unchanged(row: object, seen: Mapping[str, object]) -> None:
    """Check that the fields of a locked row still have the values that the change was based on.

    Raises ChangedMeanwhile.
    """
    if any(getattr(row, name) != value for name, value in seen.items()):
        raise ChangedMeanwhile


class Unprocessable(DomainError):
    """The request contradicts an earlier one."""


class Unavailable(DomainError):
    """A required server is unavailable or busy. Nothing was changed, and the same request may succeed later."""

    retry_after_seconds: ClassVar[int] = 1


class LockTimeout(Unavailable):
    """Other requests hold the locks that this request needs, and the wait limit was exceeded."""

    code = "lock_timeout"
    title = _("Busy, try again")

    @property
    def detail(self) -> str | Promise:
        return _("Too many requests need the same rows right now. Nothing was changed.")


class ServiceUnavailable(Unavailable):
    """The database is unavailable or too slow to answer in time."""

    code = "service_unavailable"
    title = _("Temporarily unavailable")
    retry_after_seconds = 2

    @property
    def detail(self) -> str | Promise:
        return _("The shop cannot reach its database right now. Nothing was changed unless a retry says otherwise.")
