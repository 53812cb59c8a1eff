"""All problems of the shop by code, with advice for clients.

The meaning of a problem is the docstring of its exception or an entry in `problems`; its fields are the return type of
the exception's `fields`.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from http import HTTPStatus
from typing import get_type_hints, is_typeddict

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from commerce.core.errors import DomainError
from commerce.server import bodies  # noqa: F401  # defines a problem, which has to be imported to be listed
from commerce.server.problems import FIELDS_OF_OTHER_PROBLEMS, OTHER_PROBLEMS, slug_of, status_of

_REPEAT = _("Send the same request again, with the same Idempotency-Key, after the seconds in `Retry-After`.")
_LOG_IN = _("Get another access token, then send the request again.")
_CHANGE = _("A repeated request would get the same response. Change the request, or the state it depends on, first.")
_REPORT = _(
    "Send the same request again later, with the same Idempotency-Key. Tell us its `requestId` if that fails too."
)
_MAY_PASS = {"request_in_progress", "throttled", "internal_error"}


@dataclass(frozen=True)
class Problem:
    """One problem code, in the language of the request."""

    code: str
    status: int
    title: str | Promise
    meanings: tuple[str | Promise, ...]
    kinds: tuple[type, ...] = ()
    """The types of its own fields, besides the common ones: a TypedDict per cause, `object` for no fields."""

    @property
    def slug(self) -> str:
        """The last part of the problem's `type`."""
        return slug_of(self.code)

    @property
    def may_pass(self) -> bool:
        """Whether a retry of the same request may succeed."""
        return self.code in _MAY_PASS or self.status == HTTPStatus.SERVICE_UNAVAILABLE

    @property
    def advice(self) -> str | Promise:
        """What a client should do."""
        if self.status == HTTPStatus.INTERNAL_SERVER_ERROR:
            return _REPORT
        if self.status == HTTPStatus.UNAUTHORIZED:
            return _LOG_IN
        return _REPEAT if self.may_pass else _CHANGE


def catalogue() -> list[Problem]:
    """All problems, sorted by code."""
    problems = {
        code: Problem(code, status, _(title), (_(meaning),), (FIELDS_OF_OTHER_PROBLEMS.get(code, object),))
        for code, (status, title, meaning) in OTHER_PROBLEMS.items()
    }
    for kind in _all_kinds(DomainError):
        if "code" in vars(kind):
            # Some codes have several exceptions.
            known = problems.get(kind.code)
            meaning = " ".join((kind.__doc__ or "").split())
            meanings = (*(known.meanings if known else ()), _(meaning))
            kinds = (*(known.kinds if known else ()), _fields_of(kind))
            problems[kind.code] = Problem(kind.code, status_of(kind), kind.title, meanings, kinds)
    return [problems[code] for code in sorted(problems)]


def _fields_of(kind: type[DomainError]) -> type:
    """The annotated return type of a refusal's property `fields`."""
    read = vars(kind).get("fields", DomainError.fields).fget
    returned = get_type_hints(read)["return"]
    return returned if is_typeddict(returned) else object


def _all_kinds(kind: type[DomainError]) -> Iterator[type[DomainError]]:
    for each in kind.__subclasses__():
        yield each
        yield from _all_kinds(each)
