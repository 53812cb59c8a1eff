"""The demo's staff: one account for each role of `commerce.back_office.roles`."""

from django.apps import apps
from django.contrib.auth.hashers import make_password
from django.contrib.auth.models import Group

from balances.models import User
from commerce.back_office.roles import ROLES, make_groups

STAFF_PASSWORD = "staff"  # noqa: S105  # the demo's documented login

STAFF = {role.name.lower(): role.name for role in ROLES}
"""Role by account name."""


def hire_staff() -> None:
    """Create the accounts `viewer`, `support` and so on, each in the group of its role. Needs a transaction."""
    make_groups(apps)
    password = make_password(STAFF_PASSWORD)
    for name, role in STAFF.items():
        account = User(username=name, email=f"{name}@example.com", password=password, is_staff=True)
        account.save(force_insert=True)
        account.groups.set(Group.objects.filter(name=role))
