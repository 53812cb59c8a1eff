"""`/internal/token`: the gateway's verification of tokens."""

from datetime import timedelta
from pathlib import Path

import pytest
from django.test import Client
from pytest_django import Settings
from rest_framework_simplejwt.tokens import AccessToken

from balances.models import User
from commerce.api.authentication import tokens_for
from commerce.api.gateway import MOST_SECONDS
from tests.breaking import growth_of
from tests.factories import StaffFactory, UserFactory
from tests.shop_state import statements
from tests.shopper import Shopper

pytestmark = pytest.mark.django_db(transaction=True)


def verdict(access: str | None) -> tuple[int, str | None]:
    """The status, and for how many seconds it may be kept."""
    given = {"Authorization": f"Bearer {access}"} if access is not None else {}
    response = Client().get("/internal/token", headers=given)
    assert response.content == b""
    return response.status_code, response.headers.get("X-Accel-Expires")


def access_of(user: User, **lifetime: float) -> str:
    token = AccessToken()
    token["userId"] = user.pk
    token.set_exp(lifetime=timedelta(**lifetime))
    return str(token)


def test_a_customers_token_is_accepted_without_the_database() -> None:
    access = tokens_for(user_id=UserFactory().pk, is_staff=False).access
    with statements() as ran:
        assert verdict(access) == (204, str(MOST_SECONDS))
    assert ran == []


def test_a_result_is_not_cached_longer_than_its_token() -> None:
    status, seconds = verdict(access_of(UserFactory(), seconds=1.9))
    assert (status, seconds) in ((204, "1"), (204, "0"))


def test_a_token_within_the_leeway_is_accepted_and_not_cached() -> None:
    assert verdict(access_of(UserFactory(), seconds=-1)) == (204, "0")


@pytest.mark.parametrize("access", [None, "", "x", "a.b.c"])
def test_an_invalid_token_is_refused(access: str | None) -> None:
    assert verdict(access) == (401, None)


def test_an_expired_token_is_refused() -> None:
    assert verdict(access_of(UserFactory(), minutes=-1)) == (401, None)


def test_a_refresh_token_is_refused() -> None:
    assert verdict(tokens_for(user_id=UserFactory().pk, is_staff=False).refresh) == (401, None)


def test_staff_tokens_are_accepted_without_a_lookup() -> None:
    clerk = StaffFactory()
    access = tokens_for(user_id=clerk.pk, is_staff=True).access
    User.objects.filter(pk=clerk.pk).update(is_active=False)
    with statements() as ran:
        assert verdict(access) == (204, str(MOST_SECONDS))
    assert ran == []
    assert Shopper(access=access).get("/api/users/me").outcome == (401, "token_not_valid")


def test_a_stopping_server_answers_503(settings: Settings, tmp_path: Path) -> None:
    access = tokens_for(user_id=UserFactory().pk, is_staff=False).access
    settings.WEB_ENDING_FILE = str(tmp_path)
    assert verdict(access) == (503, None)


def test_other_methods_are_refused() -> None:
    assert Client().post("/internal/token").status_code == 405


def test_they_are_counted() -> None:
    labels = {"route": "/internal/token", "method": "GET", "status": "401"}
    with growth_of("commerce_requests_total", **labels) as counted:
        verdict("x")
    assert counted.by == 1
