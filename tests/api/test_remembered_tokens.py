"""The cache of verified access tokens: expiry, key changes and staff permissions still apply."""

from datetime import timedelta

import pytest
from django.test import Client

from balances.models import User
from commerce.api import authentication
from commerce.api.authentication import TokenAuthentication
from commerce.api.tokens import AccessToken, TokenKeys, token_backend
from commerce.api.viewsets import one_of_each
from tests.factories import StaffFactory, UserFactory
from tests.shop_state import statements
from tests.shopper import Shopper

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def user() -> User:
    return UserFactory(balance=5_000)


def remembered() -> dict[tuple[TokenKeys, str], authentication._Verified]:
    [authenticator] = one_of_each((TokenAuthentication,))
    assert isinstance(authenticator, TokenAuthentication)
    return authenticator._verified


@pytest.fixture(autouse=True)
def nothing_remembered() -> None:
    remembered().clear()


def seen(shopper: Shopper, user: User) -> tuple[int, str | None]:
    return shopper.get(f"/api/balance/{user.pk}").outcome


def test_a_token_is_verified_once(user: User, monkeypatch: pytest.MonkeyPatch) -> None:
    shopper = Shopper(user)
    assert seen(shopper, user) == (200, None)
    monkeypatch.setattr(TokenAuthentication, "get_validated_token", None)
    assert seen(shopper, user) == (200, None)


def test_the_gateway_s_verification_is_that_of_the_endpoints(user: User, monkeypatch: pytest.MonkeyPatch) -> None:
    shopper = Shopper(user)
    assert Client().get("/internal/token", headers=shopper.headers).status_code == 204
    monkeypatch.setattr(TokenAuthentication, "get_validated_token", None)
    assert seen(shopper, user) == (200, None)
    assert Client().get("/internal/token", headers=shopper.headers).status_code == 204


def test_a_cached_token_expires_on_time(user: User, monkeypatch: pytest.MonkeyPatch) -> None:
    token = AccessToken()
    token["userId"] = user.pk
    token.set_exp(lifetime=timedelta(minutes=1))
    shopper = Shopper(access=str(token))
    ends_at = float(token["exp"]) + authentication.LEEWAY_SECONDS
    assert seen(shopper, user) == (200, None)
    asked: list[object] = []

    def judge(_: object, text: bytes) -> AccessToken:
        asked.append(text)
        return token

    monkeypatch.setattr(TokenAuthentication, "get_validated_token", judge)
    for now, times in ((ends_at - 0.001, 0), (ends_at, 1), (ends_at + 1, 2)):
        monkeypatch.setattr(authentication, "time", lambda now=now: now)
        seen(shopper, user)
        # At its expiry the library verifies the token, and refuses it.
        assert len(asked) == times


def test_a_key_change_invalidates_all_tokens(user: User, monkeypatch: pytest.MonkeyPatch) -> None:
    shopper = Shopper(user)
    assert seen(shopper, user) == (200, None)
    monkeypatch.setattr(token_backend, "keys", TokenKeys.of(["another key, as long as ours should be, and as random"]))
    assert seen(shopper, user) == (401, "token_not_valid")


def test_a_token_with_another_signature_is_not_cached(user: User) -> None:
    shopper = Shopper(user)
    assert seen(shopper, user) == (200, None)
    shopper.headers["Authorization"] = shopper.headers["Authorization"][:-4] + "AAAA"
    assert seen(shopper, user) == (401, "token_not_valid")


def test_staff_are_looked_up_for_every_request(user: User) -> None:
    clerk = StaffFactory()
    shopper = Shopper(clerk)
    for _ in range(2):
        with statements() as ran:
            assert seen(shopper, user) == (200, None)
        assert len(ran) == 3
    User.objects.filter(pk=clerk.pk).update(is_staff=False)
    assert seen(shopper, user) == (403, "permission_denied")
    User.objects.filter(pk=clerk.pk).update(is_active=False)
    assert seen(shopper, user) == (401, "token_not_valid")


def test_the_cache_has_a_limit(user: User, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(authentication, "MOST_VERIFIED", 4)
    shoppers = [Shopper(user) for _ in range(10)]
    for shopper in shoppers:
        assert seen(shopper, user) == (200, None)
        assert len(remembered()) <= 4
    newest = shoppers[-1].headers["Authorization"]
    assert newest in {text for _, text in remembered()}


def test_invalid_tokens_are_not_cached(user: User) -> None:
    assert seen(Shopper(access="a.b.c"), user) == (401, "token_not_valid")
    assert remembered() == {}
