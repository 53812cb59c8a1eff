"""`/problems`: a page for each kind of problem, to which its `type` leads.

Owns the catalogue and its pages. What a problem means is the docstring of its exception, or stands in `problems`.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from http import HTTPStatus

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from commerce.core.errors import DomainError
from commerce.http.health import read_only
from commerce.http.problems import OTHER_PROBLEMS, slug_of, status_of

_REPEAT = _(
    "Send the same request again, with the same Idempotency-Key, once the seconds that `Retry-After` names are over."
)
_LOG_IN = _("Get another access token, then send the request again.")
_CHANGE = _("Sent again, the same request gets the same answer. Change the request, or what it acts on, first.")
_REPORT = _(
    "Send the same request again later, with the same Idempotency-Key. Tell us its `requestId` if that fails too."
)
_MAY_PASS = {"request_in_progress", "throttled", "internal_error"}


@dataclass(frozen=True)
class Problem:
    """One code, in the language of the request."""

    code: str
    status: int
    title: str | Promise
    meanings: tuple[str | Promise, ...]

    @property
    def slug(self) -> str:
        """How the `type` of the problem ends."""
        return slug_of(self.code)

    @property
    def may_pass(self) -> bool:
        """Whether the same request may succeed later."""
        return self.code in _MAY_PASS or self.status == HTTPStatus.SERVICE_UNAVAILABLE

    @property
    def advice(self) -> str | Promise:
        """What a client does about it."""
        if self.status == HTTPStatus.INTERNAL_SERVER_ERROR:
            return _REPORT
        if self.status == HTTPStatus.UNAUTHORIZED:
            return _LOG_IN
        return _REPEAT if self.may_pass else _CHANGE


def catalogue() -> list[Problem]:
    """Every problem, by its code."""
    problems = {
        code: Problem(code, status, _(title), (_(meaning),))
        for code, (status, title, meaning) in OTHER_PROBLEMS.items()
    }
    for kind in _all_kinds(DomainError):
        if "code" in vars(kind):
            # Some codes have several causes.
            known = problems.get(kind.code)
            meaning = " ".join((kind.__doc__ or "").split())
            meanings = (*(known.meanings if known else ()), _(meaning))
            problems[kind.code] = Problem(kind.code, status_of(kind), kind.title, meanings)
    return [problems[code] for code in sorted(problems)]


def _all_kinds(kind: type[DomainError]) -> Iterator[type[DomainError]]:
    for each in kind.__subclasses__():
        yield each
        yield from _all_kinds(each)


@read_only
def index(request: HttpRequest) -> HttpResponse:
    """All problems."""
    return render(request, "problems/index.html", {"problems": catalogue()})


@read_only
def page(request: HttpRequest, slug: str) -> HttpResponse:
    """One problem. Raises Http404 for one that the shop does not know."""
    problem = next((problem for problem in catalogue() if problem.slug == slug), None)
    if problem is None:
        raise Http404
    return render(request, "problems/problem.html", {"problem": problem})
