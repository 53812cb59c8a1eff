"""`RateLimit-Policy` and `RateLimit`: the remaining quota of a client."""

import re
from typing import NamedTuple

import pytest
from pytest_django import Settings

from balances.models import User
from commerce.core import rate_limit
from commerce.embedded.redis_server import Redis
from tests.breaking import kill
from tests.factories import CouponFactory
from tests.groups import round_trips
from tests.shopper import Answer, Shopper

pytestmark = pytest.mark.django_db(transaction=True)

CHARGE = ("/api/balance/charge", {"amount": 1})


class Left(NamedTuple):
    name: str
    uses: int
    seconds: int


def left(answer: Answer) -> Left:
    """The remaining uses in `RateLimit`."""
    match = re.fullmatch(r'"([a-z-]+)";r=(\d+);t=(\d+)', answer.headers["RateLimit"])
    assert match is not None, answer.headers["RateLimit"]
    return Left(match[1], int(match[2]), int(match[3]))


@pytest.mark.usefixtures("few_writes")
def test_each_use_reduces_the_remaining_quota(user: User) -> None:
    answers = [Shopper(user).post(*CHARGE) for _ in range(5)]
    assert [answer.status for answer in answers] == [200, 200, 200, 429, 429]
    assert {answer.headers["RateLimit-Policy"] for answer in answers} == {'"writes";q=3;w=10800'}
    assert [left(answer).uses for answer in answers] == [2, 1, 0, 0, 0]
    assert 3 * 3_590 < left(answers[-1]).seconds <= 3 * 3_600


@pytest.mark.usefixtures("few_writes")
def test_uses_of_other_processes_count_once_redis_is_queried(user: User) -> None:
    Shopper(user).post(*CHARGE)
    Shopper(user).post(*CHARGE)
    Shopper(user).post(*CHARGE)
    # Like a new process, which allows its first uses without asking Redis.
    rate_limit.forget_everything()
    assert [left(Shopper(user).post(*CHARGE)).uses for _ in range(3)] == [2, 1, 0]


@pytest.mark.usefixtures("few_writes")
def test_invalid_writes_have_headers_and_anonymous_ones_none(user: User) -> None:
    assert left(Shopper(user).post("/api/balance/charge", {"amount": "x"})).uses == 2
    assert "RateLimit" not in Shopper().post(*CHARGE).headers


@pytest.mark.usefixtures("few_writes")
def test_coupons_have_their_own_limit(user: User) -> None:
    answer = Shopper(user).post(f"/api/coupons/{CouponFactory(total_quantity=5).pk}/issue")
    assert left(answer) == Left("coupon-issues", 2, 3_600)


@pytest.mark.usefixtures("few_writes")
def test_reads_and_writes_without_a_limit_have_none(user: User, settings: Settings) -> None:
    assert "RateLimit" not in Shopper(user).get(f"/api/balance/{user.pk}").headers
    settings.WRITES_PER_SECOND = 0
    assert "RateLimit" not in Shopper(user).post(*CHARGE).headers


@pytest.mark.usefixtures("few_logins")
def test_a_login_shows_the_quota_of_the_address_only(user: User) -> None:
    wrong = {"username": user.username, "password": "wrong"}
    answers = [Shopper().post("/api/auth/token", wrong) for _ in range(4)]
    assert [answer.status for answer in answers] == [401, 401, 401, 429]
    assert {answer.headers["RateLimit-Policy"] for answer in answers} == {'"logins";q=10;w=60'}
    assert [left(answer).uses for answer in answers] == [9, 8, 7, 7]


@pytest.mark.usefixtures("few_logins")
def test_a_refresh_shows_the_remaining_quota(user: User) -> None:
    answer = Shopper().post("/api/auth/token/refresh", {"refresh": "x"})
    assert left(answer) == Left("refreshes", 9, 6)


def test_the_headers_need_no_call_to_redis(user: User, settings: Settings) -> None:
    """The limit needs one call, as without headers; the write itself needs one for the cached balance."""
    settings.WRITES_PER_SECOND, settings.WRITES_AT_ONCE = 1_000.0, 1_000
    shopper = Shopper(user)
    for _ in range(3):
        shopper.post(*CHARGE)
    with round_trips() as trips:
        answer = shopper.post(*CHARGE)
    assert left(answer).name == "writes"
    assert trips.cache == 2


def test_without_redis_the_process_counts_locally(own_redis: Redis, user: User, settings: Settings) -> None:
    settings.WRITES_PER_SECOND, settings.WRITES_AT_ONCE = 0.001, 5
    kill(own_redis)
    assert [left(Shopper(user).post(*CHARGE)).uses for _ in range(4)] == [4, 3, 2, 1]
