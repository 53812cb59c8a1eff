"""`/internal/token`: what the gateway is told of a token."""

from datetime import timedelta
from pathlib import Path

import pytest
from django.test import Client
from pytest_django import Settings
from rest_framework_simplejwt.tokens import AccessToken

from balances.models import User
from commerce.api.authentication import tokens_for
from commerce.api.gateway import MOST_SECONDS
from tests.factories import StaffFactory, UserFactory
from tests.shop_state import statements
from tests.shopper import Shopper

pytestmark = pytest.mark.django_db(transaction=True)


def verdict(access: str | None, **headers: str) -> tuple[int, str | None]:
    """The status, and for how many seconds it may be kept."""
    given = {"Authorization": f"Bearer {access}"} if access is not None else {}
    response = Client().get("/internal/token", headers={**given, **headers})
    assert response.content == b""
    return response.status_code, response.headers.get("X-Accel-Expires")


def access_of(user: User, **lifetime: float) -> str:
    token = AccessToken()
    token["userId"] = user.pk
    token.set_exp(lifetime=timedelta(**lifetime))
    return str(token)


def test_a_customer_s_token_is_believed_without_the_database() -> None:
    access = tokens_for(user_id=UserFactory().pk, is_staff=False).access
    with statements() as ran:
        assert verdict(access) == (204, str(MOST_SECONDS))
    assert ran == []


def test_a_verdict_does_not_outlive_its_token() -> None:
    status, seconds = verdict(access_of(UserFactory(), seconds=1.9))
    assert (status, seconds) in ((204, "1"), (204, "0"))


def test_a_token_that_ended_just_now_is_good_and_nothing_to_keep() -> None:
    assert verdict(access_of(UserFactory(), seconds=-1)) == (204, "0")


@pytest.mark.parametrize("access", [None, "", "x", "a.b.c"])
def test_what_is_no_token_is_refused(access: str | None) -> None:
    assert verdict(access) == (401, None)


def test_a_token_that_has_ended_is_refused() -> None:
    assert verdict(access_of(UserFactory(), minutes=-1)) == (401, None)


def test_a_refresh_token_gives_no_access() -> None:
    assert verdict(tokens_for(user_id=UserFactory().pk, is_staff=False).refresh) == (401, None)


def test_staff_are_looked_up_by_the_shop_not_here() -> None:
    clerk = StaffFactory()
    access = tokens_for(user_id=clerk.pk, is_staff=True).access
    User.objects.filter(pk=clerk.pk).update(is_active=False)
    with statements() as ran:
        assert verdict(access) == (204, str(MOST_SECONDS))
    assert ran == []
    assert Shopper(access=access).get("/api/users/me").outcome == (401, "token_not_valid")


def test_a_server_that_is_about_to_end_says_so(settings: Settings, tmp_path: Path) -> None:
    access = tokens_for(user_id=UserFactory().pk, is_staff=False).access
    settings.WEB_ENDING_FILE = str(tmp_path)
    assert verdict(access) == (503, None)


def test_other_methods_are_refused() -> None:
    assert Client().post("/internal/token").status_code == 405
