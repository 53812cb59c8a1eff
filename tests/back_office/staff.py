"""A staff client for the back-office's pages."""

from typing import Any

from django.contrib.auth.models import Permission
from django.contrib.messages import get_messages
from django.test import Client
from django.urls import reverse

from balances.models import User
from tests.factories import StaffFactory
from tests.web_forms import fields_of

Page = Any
"""A response of Django's test client, with the context of its template."""


class Staff:
    """A member of staff in the back-office: a superuser, or with the permissions in `rights`."""

    def __init__(self, *rights: str, superuser: bool = False) -> None:
        user: User = StaffFactory(is_superuser=superuser)
        codenames = [right.partition(".")[2] for right in rights]
        user.user_permissions.set(Permission.objects.filter(codename__in=codenames))
        self.user = user
        self.client = Client()
        self.client.force_login(user)
        # The first page of a session stores its start; tests count later queries only.
        self.client.get(reverse("admin:jsi18n"))

    def get(self, page: str, *args: object, **query: Any) -> Page:
        """GET the page with this name in `admin:`."""
        return self.client.get(reverse(f"admin:{page}", args=args), query)

    def post(self, page: str, *args: object, **values: Any) -> Page:
        """POST to the page; values that are None are omitted."""
        data: dict[str, Any] = {name: value for name, value in values.items() if value is not None}
        return self.client.post(reverse(f"admin:{page}", args=args), data)

    def press(self, page: str, *args: object, **typed: Any) -> Page:
        """Open the page, and submit its form with these values."""
        opened = self.get(page, *args)
        assert opened.status_code == 200, page
        return self.post(page, *args, **{**fields_of(opened.content.decode()), **typed})


def errors_of(response: Page) -> dict[str, list[str]]:
    """The errors of a refused form by field; fails for any other page."""
    assert response.status_code == 200, response
    form = response.context["adminform"].form if "adminform" in response.context else response.context["form"]
    return {field: list(errors) for field, errors in form.errors.items()}


def messages_on(response: Page) -> list[str]:
    """The messages on the page."""
    return [str(message) for message in get_messages(response.wsgi_request)]
