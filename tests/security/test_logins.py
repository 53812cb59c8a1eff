"""Limits of password guessing, at the token endpoint and at the back-office's login page."""

import re
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from django.test import Client
from pytest_django import Settings

from balances.models import User
from commerce.api.authentication import tokens_for
from commerce.core import redis_services
from commerce.core.passwords import PBKDF2InThread
from commerce.embedded.redis_server import Redis
from tests.breaking import as_text, kill, pause
from tests.factories import StaffFactory, UserFactory
from tests.shop_state import nothing_changes
from tests.together import together

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("few_logins")]

PASSWORD = "right horse"
HERE = "203.0.113.5"
Response = Any
"""A response of Django's test client."""
Door = Callable[..., Response]


@pytest.fixture
def clerk() -> User:
    return StaffFactory(username="jimin", password=PASSWORD)


def at_the_api(username: str, password: str, address: str = HERE, **meta: Any) -> Response:
    body = {"username": username, "password": password}
    return Client().post("/api/auth/token", body, content_type="application/json", REMOTE_ADDR=address, **meta)


def at_the_back_office(username: str, password: str, address: str = HERE, **meta: Any) -> Response:
    body = {"username": username, "password": password}
    return Client().post("/admin/login/?next=/admin/", body, REMOTE_ADDR=address, **meta)


def outcome(response: Response) -> str:
    """The outcome of a login, `in`, `wrong` or `wait`, for the API or the back-office."""
    if response.status_code == 429:
        return "wait"
    if response.status_code == 302 or (response.status_code == 200 and b'"access"' in response.content):
        return "in"
    assert response.status_code == 401 or b"errornote" in response.content, response.content[:500]
    return "wrong"


@pytest.fixture(params=[at_the_api, at_the_back_office], ids=["api", "back-office"])
def door(request: pytest.FixtureRequest) -> Door:
    chosen: Door = request.param
    return chosen


def fail(door: Door, times: int, username: str = "jimin", address: str = HERE) -> list[str]:
    return [outcome(door(username, f"guess {number}", address)) for number in range(times)]


def test_after_failures_the_right_password_is_limited_too(clerk: User, door: Door) -> None:
    assert fail(door, 3) == ["wrong"] * 3
    with nothing_changes():
        response = door("jimin", PASSWORD)
    assert outcome(response) == "wait"
    assert 15 <= int(response.headers["Retry-After"]) <= 20


def test_control_without_the_limit_guessing_is_unlimited(clerk: User, door: Door, settings: Settings) -> None:
    settings.LOGIN_FAILURES_PER_MINUTE = settings.LOGIN_FAILURES_PER_HOUR = settings.LOGINS_PER_MINUTE = 0
    assert fail(door, 15) == ["wrong"] * 15
    assert outcome(door("jimin", PASSWORD)) == "in"


def test_api_and_back_office_share_their_counters(clerk: User) -> None:
    assert fail(at_the_api, 2) + fail(at_the_back_office, 2) == ["wrong", "wrong", "wrong", "wait"]
    assert fail(at_the_api, 1) == ["wait"]


def test_a_success_resets_the_failures(clerk: User, door: Door, settings: Settings) -> None:
    settings.LOGINS_PER_MINUTE = settings.LOGIN_FAILURES_PER_HOUR = 100
    for _ in range(3):
        assert fail(door, 2) == ["wrong"] * 2
        assert outcome(door("jimin", PASSWORD)) == "in"


def test_a_success_keeps_failures_from_other_addresses(clerk: User, door: Door) -> None:
    """Otherwise logins of a customer would reset the count of an attacker."""
    for number in range(5):
        fail(door, 1, address=f"198.51.100.{number}")
    assert outcome(door("jimin", PASSWORD)) == "in"
    assert fail(door, 2) == ["wrong", "wait"]


def test_successes_are_not_failures(clerk: User, door: Door, settings: Settings) -> None:
    settings.LOGINS_PER_MINUTE = 100
    assert [outcome(door("jimin", PASSWORD)) for _ in range(12)] == ["in"] * 12


def test_other_names_and_addresses_are_not_limited(clerk: User, door: Door) -> None:
    StaffFactory(username="sora", password=PASSWORD)
    fail(door, 4)
    assert outcome(door("sora", PASSWORD)) == "in"
    assert outcome(door("jimin", PASSWORD, "198.51.100.7")) == "in"


def test_one_name_is_limited_over_many_addresses(clerk: User, door: Door) -> None:
    guesses = [outcome(door("jimin", "guess", f"198.51.100.{number}")) for number in range(10)]
    assert guesses == ["wrong"] * 6 + ["wait"] * 4


def test_one_address_is_limited_over_many_names(door: Door) -> None:
    tried = [outcome(door(f"customer{number}", "customer")) for number in range(15)]
    assert tried == ["wrong"] * 10 + ["wait"] * 5


def test_a_login_without_a_password_resets_nothing(clerk: User) -> None:
    fail(at_the_back_office, 2)
    at_the_back_office("jimin", "")
    assert fail(at_the_back_office, 2) == ["wrong", "wait"]


def test_another_spelling_of_the_name_is_the_same_name(clerk: User) -> None:
    """The login page normalizes full-width letters, so another spelling is the same account."""
    assert [*fail(at_the_back_office, 3), *fail(at_the_back_office, 1, "ｊｉｍｉｎ")] == [*["wrong"] * 3, "wait"]


def test_a_customers_login_to_the_back_office_is_a_failure() -> None:
    UserFactory(username="mina", password=PASSWORD)
    assert [outcome(at_the_back_office("mina", PASSWORD)) for _ in range(4)] == ["wrong"] * 3 + ["wait"]


def test_concurrent_guesses_share_the_limit(clerk: User, door: Door) -> None:
    answers = together([partial(door, "jimin", f"guess {number}") for number in range(12)])
    assert sorted(map(outcome, answers)) == ["wait"] * 9 + ["wrong"] * 3


def test_the_page_shows_when_to_retry(clerk: User) -> None:
    fail(at_the_back_office, 3)
    page = at_the_back_office("jimin", PASSWORD).content.decode()
    assert re.search(r"Try again in (1[5-9]|20) s\.", page)
    # Not relevant for this test.
    assert "nav-sidebar" not in page
    korean = at_the_back_office("jimin", PASSWORD, HTTP_ACCEPT_LANGUAGE="ko").content.decode()
    assert re.search(r"(1[5-9]|20)초 후에", korean)


def test_the_api_returns_a_problem(clerk: User) -> None:
    fail(at_the_api, 3)
    response = at_the_api("jimin", PASSWORD)
    assert response.json()["code"] == "throttled"


class TestWhoHasAnAccount:
    """Existing and unknown names cannot be distinguished: same response, same work, same limits."""

    @pytest.fixture
    def hashed(self, monkeypatch: pytest.MonkeyPatch) -> list[str]:
        """All hashed passwords."""
        passwords: list[str] = []
        encode = PBKDF2InThread.encode

        def counted(self: PBKDF2InThread, password: str, salt: str, iterations: int | None = None) -> str:
            passwords.append(password)
            return encode(self, password, salt, iterations)

        monkeypatch.setattr(PBKDF2InThread, "encode", counted)
        return passwords

    @pytest.mark.parametrize("who", ["open", "closed", "nobody", "no password"])
    def test_every_name_takes_one_hash_and_gets_the_same_response(
        self, door: Door, who: str, hashed: list[str]
    ) -> None:
        StaffFactory(username="open", password=PASSWORD)
        StaffFactory(username="closed", password=PASSWORD, is_active=False)
        StaffFactory(username="no password", password=None)
        hashed.clear()
        response = door(who, "a guess")
        assert outcome(response) == "wrong"
        # For an account without a password, Django hashes another value.
        assert len(hashed) == 1
        if door is at_the_api:
            assert response.json()["detail"] == "These credentials are not valid."

    def test_every_name_is_limited_alike(self, clerk: User, door: Door) -> None:
        assert fail(door, 4, "jimin") == fail(door, 4, "nobody") == ["wrong"] * 3 + ["wait"]

    def test_a_limited_name_takes_no_hash(self, clerk: User, door: Door, hashed: list[str]) -> None:
        fail(door, 3)
        hashed.clear()
        fail(door, 5)
        assert hashed == []


class TestWithoutRedis:
    """Without Redis each process counts on its own."""

    @pytest.fixture(params=["killed", "paused"])
    def unavailable_redis(self, request: pytest.FixtureRequest, own_redis: Redis) -> None:
        redis_services.cache.call(lambda client: client.ping())
        (kill if request.param == "killed" else pause)(own_redis)

    @pytest.mark.usefixtures("unavailable_redis")
    def test_guessing_is_limited(self, clerk: User, door: Door) -> None:
        assert fail(door, 5) == ["wrong"] * 3 + ["wait"] * 2

    @pytest.mark.usefixtures("unavailable_redis")
    def test_a_success_resets_the_failures(self, clerk: User, door: Door) -> None:
        fail(door, 2)
        assert outcome(door("jimin", PASSWORD)) == "in"
        assert fail(door, 4) == ["wrong"] * 3 + ["wait"]


def test_no_name_is_stored_in_redis(clerk: User) -> None:
    """People may enter their password as the name."""
    fail(at_the_api, 1, "hunter2-is-my-password")
    kept = [as_text(key) for key in redis_services.cache.client.keys("*")]
    assert len(kept) == 3
    assert not any("hunter2" in key for key in kept)


def test_refreshes_are_limited_per_address(clerk: User) -> None:
    refresh = tokens_for(user_id=clerk.pk, is_staff=True).refresh

    def status(address: str) -> int:
        body = {"refresh": refresh}
        path = "/api/auth/token/refresh"
        return Client().post(path, body, content_type="application/json", REMOTE_ADDR=address).status_code

    assert [status(HERE) for _ in range(12)] == [200] * 10 + [429] * 2
    assert status("198.51.100.7") == 200


class TestClientAddress:
    """Only as many entries of X-Forwarded-For are trusted as there are own proxies."""

    def _guesses(self, forwarded: Callable[[int], str]) -> list[str]:
        return [
            outcome(at_the_api("jimin", "guess", "10.0.0.1", HTTP_X_FORWARDED_FOR=forwarded(number)))
            for number in range(5)
        ]

    @pytest.mark.usefixtures("clerk")
    def test_a_forged_one_is_ignored(self) -> None:
        assert self._guesses(lambda number: f"198.51.100.{number}") == ["wrong"] * 3 + ["wait"] * 2

    @pytest.mark.usefixtures("clerk")
    def test_behind_one_proxy_only_its_own_entry_counts(self, settings: Settings) -> None:
        settings.NUM_PROXIES = 1
        assert self._guesses(lambda number: f"198.51.100.{number}, {HERE}") == ["wrong"] * 3 + ["wait"] * 2

    @pytest.mark.usefixtures("clerk")
    def test_behind_one_proxy_different_clients_are_different(self, settings: Settings) -> None:
        settings.NUM_PROXIES = 1
        assert self._guesses(lambda number: f"{HERE}, 198.51.100.{number}") == ["wrong"] * 5

    @pytest.mark.usefixtures("clerk")
    def test_a_header_that_bypassed_a_proxy_is_ignored(self, settings: Settings) -> None:
        settings.NUM_PROXIES = 2
        assert self._guesses(lambda number: f"198.51.100.{number}") == ["wrong"] * 3 + ["wait"] * 2

    @pytest.mark.usefixtures("clerk")
    def test_an_invalid_address_counts_for_the_connection(self, settings: Settings) -> None:
        settings.NUM_PROXIES = 1
        assert self._guesses(lambda number: f"nonsense {number}") == ["wrong"] * 3 + ["wait"] * 2

    @pytest.mark.usefixtures("clerk")
    def test_the_addresses_of_one_ipv6_network_are_one_client(self) -> None:
        guesses = [outcome(at_the_api("jimin", "guess", f"2001:db8:1:2::{number}")) for number in range(5)]
        assert guesses == ["wrong"] * 3 + ["wait"] * 2
        assert outcome(at_the_api("jimin", PASSWORD, "2001:db8:1:3::1")) == "in"

    @pytest.mark.usefixtures("clerk")
    def test_an_ipv4_mapped_ipv6_address_is_the_ipv4_address(self) -> None:
        fail(at_the_api, 3, address="203.0.113.9")
        assert fail(at_the_api, 1, address="::ffff:203.0.113.9") == ["wait"]
