"""Redirects `/` to the documentation of the API."""

from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse

from commerce.server.health import read_only


@read_only
def index(request: HttpRequest) -> HttpResponse:
    """Redirect to `/api/docs`."""
    return HttpResponseRedirect(reverse("docs"))
