"""Where the shop's bare address leads: to the description of its API."""

from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse

from commerce.http.health import read_only


@read_only
def index(request: HttpRequest) -> HttpResponse:
    """Leads to `/api/docs`."""
    return HttpResponseRedirect(reverse("docs"))
