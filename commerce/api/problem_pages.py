"""`/problems`: a page for each kind of problem, the target of its `type`.

The text is in `problem_catalogue`, the fields are in `schema_problems`.
"""

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render

from commerce.api.problem_catalogue import catalogue
from commerce.api.schema_problems import shown_fields
from commerce.server.health import read_only


@read_only
def index(request: HttpRequest) -> HttpResponse:
    """The list of all problems."""
    return render(request, "problems/index.html", {"problems": catalogue()})


@read_only
def page(request: HttpRequest, slug: str) -> HttpResponse:
    """One problem. Raises Http404 for an unknown one."""
    problem = next((problem for problem in catalogue() if problem.slug == slug), None)
    if problem is None:
        raise Http404
    return render(request, "problems/problem.html", {"problem": problem, "fields": shown_fields(problem)})
