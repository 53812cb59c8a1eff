"""Limits of writes per account: 429 with Retry-After, nothing changed, other accounts unaffected."""

from functools import partial
from threading import Barrier

import pytest
from django.conf import settings as project_settings
from pytest_django import Settings

from balances.models import User
from commerce.api.authentication import tokens_for
from commerce.core import rate_limit, redis_services
from commerce.core.rate_limit import UNASKED, Counter, Limit
from commerce.embedded.redis_server import Redis
from commerce.idempotency.models import IdempotencyKey
from products.models import Product
from tests.breaking import growth_of, kill, pause
from tests.documented import schema
from tests.factories import CouponFactory, ProductFactory, UserFactory, order_of
from tests.security.conftest import HOURLY
from tests.shop_state import nothing_changes
from tests.shopper import Answer, Shopper
from tests.together import together, wait_until

pytestmark = pytest.mark.django_db(transaction=True)

CHARGE = ("/api/balance/charge", {"amount": 1})
SLOW = Limit("slow", HOURLY, 5)


@pytest.fixture
def pen() -> Product:
    return ProductFactory(price=100)


def charges(user: User, count: int) -> list[Answer]:
    """Charge once per client; returns the statuses."""
    return [Shopper(user).post(*CHARGE) for _ in range(count)]


def take(*counters: Counter) -> float:
    """Seconds to wait."""
    return rate_limit.take(*counters)[0]


def take_often(counter: Counter) -> float:
    """Seconds to wait."""
    return rate_limit.take_often(counter)[0]


def asked_redis() -> int:
    """The number of calls to Redis for limits."""
    return len(redis_services.cache.client.keys("limit:*"))


@pytest.mark.usefixtures("few_writes")
def test_writes_above_the_limit_change_nothing(user: User) -> None:
    assert [answer.status for answer in charges(user, 3)] == [200, 200, 200]
    with nothing_changes(), growth_of("commerce_throttled_total", what="writes") as refused:
        answer = Shopper(user).post(*CHARGE)
        charges(user, 4)
    assert answer.outcome == (429, "throttled")
    assert answer.json["detail"] == "Wait a little, then try again."
    assert 3_500 < int(answer.headers["Retry-After"]) <= 3_600
    assert refused.by == 5


def test_control_without_a_limit_all_requests_pass(user: User, settings: Settings) -> None:
    """The control of the test above: 0 per second is off."""
    settings.WRITES_PER_SECOND, settings.WRITES_AT_ONCE = 0, 3
    assert {answer.status for answer in charges(user, 8)} == {200}
    assert asked_redis() == 0


@pytest.mark.usefixtures("few_writes")
def test_the_limit_applies_to_one_account(user: User) -> None:
    charges(user, 4)
    assert Shopper(UserFactory()).post(*CHARGE).status == 200


@pytest.mark.usefixtures("few_writes")
def test_reading_is_not_limited(user: User) -> None:
    charges(user, 4)
    assert {Shopper(user).get(f"/api/balance/{user.pk}").status for _ in range(10)} == {200}


@pytest.mark.usefixtures("few_writes")
def test_charges_orders_and_cancels_are_writes_and_share_one_limit(user: User, pen: Product) -> None:
    order = order_of(user, {pen: 1})
    shopper = Shopper(user)
    assert shopper.post(*CHARGE).status == 200
    assert shopper.post("/api/orders", {"items": [{"productId": pen.pk, "quantity": 1}]}).status == 200
    assert shopper.post(f"/api/orders/{order.pk}/cancel").status == 200
    with nothing_changes():
        assert shopper.post("/api/orders", {"items": [{"productId": pen.pk, "quantity": 1}]}).status == 429
        assert shopper.post(f"/api/orders/{order.pk}/cancel").status == 429


@pytest.mark.usefixtures("few_writes")
def test_coupon_issues_have_their_own_limit(user: User) -> None:
    shopper = Shopper(user)
    coupons = CouponFactory.create_batch(4)
    assert [shopper.post(f"/api/coupons/{coupon.pk}/issue").status for coupon in coupons[:3]] == [200, 200, 200]
    with nothing_changes():
        assert shopper.post(f"/api/coupons/{coupons[3].pk}/issue").outcome == (429, "throttled")
    assert shopper.post(*CHARGE).status == 200


@pytest.mark.usefixtures("few_writes")
def test_refused_and_malformed_writes_count_like_any_other(user: User) -> None:
    shopper = Shopper(user)
    assert shopper.post("/api/orders", {"items": []}).status == 400
    assert shopper.send("POST", "/api/orders", b"{").status == 400
    assert shopper.post("/api/orders/999/cancel").status == 404
    assert shopper.post(*CHARGE).status == 429


@pytest.mark.usefixtures("few_writes")
def test_the_limit_is_checked_before_the_body_is_read(user: User) -> None:
    charges(user, 3)
    assert Shopper(user).send("POST", "/api/orders", b"[" * 200_000).status == 429


class TestWithAnIdempotencyKey:
    """A 429 is not stored for the key. A replay counts as a request."""

    @pytest.mark.usefixtures("few_writes")
    def test_a_429_is_not_stored(self, user: User, settings: Settings) -> None:
        shopper = Shopper(user)
        charges(user, 3)
        assert shopper.post(*CHARGE, key="later").status == 429
        assert not IdempotencyKey.objects.exists()
        settings.WRITES_PER_SECOND = 0
        answer = shopper.post(*CHARGE, key="later")
        assert (answer.status, answer.replayed, answer.json["balance"]) == (200, False, 50_004)

    @pytest.mark.usefixtures("few_writes")
    def test_a_replay_counts_and_the_stored_response_stays(self, user: User, settings: Settings) -> None:
        shopper = Shopper(user)
        first, second, third, fourth = (shopper.post(*CHARGE, key="same") for _ in range(4))
        assert [answer.status for answer in (first, second, third, fourth)] == [200, 200, 200, 429]
        assert (second.replayed, second.content) == (True, first.content)
        settings.WRITES_PER_SECOND = 0
        again = shopper.post(*CHARGE, key="same")
        assert (again.replayed, again.content) == (True, first.content)
        user.refresh_from_db()
        assert user.balance == 50_001


class TestManySessions:
    """One account with many tokens, connections and processes."""

    def test_concurrent_ones_share_the_limit(self, user: User, settings: Settings) -> None:
        settings.WRITES_PER_SECOND, settings.WRITES_AT_ONCE = HOURLY, 10
        tokens = [tokens_for(user_id=user.pk, is_staff=False).access for _ in range(30)]
        answers = together([partial(Shopper(access=token).post, *CHARGE) for token in tokens], at_once=16)
        passed = [answer.status for answer in answers].count(200)
        # Unreported uses of other processes may be allowed in addition.
        assert 10 <= passed <= 10 + UNASKED
        assert {answer.status for answer in answers} == {200, 429}
        user.refresh_from_db()
        assert user.balance == 50_000 + passed

    def test_control_two_steps_in_redis_admit_more(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """The control: the same algorithm as separate read and write."""

        def read_then_write(script: str, keys: list[str], arguments: list[int]) -> tuple[int, int]:
            taken = int(redis_services.cache.client.get(keys[0]) or 0)
            everybody.wait(timeout=30)
            redis_services.cache.client.set(keys[0], taken + 1)
            return (0 if taken < arguments[1] else 1), 0

        everybody = Barrier(8)
        monkeypatch.setattr(redis_services.cache, "run_script", read_then_write)
        waits = together([partial(take, Counter(SLOW, "x"))] * 8)
        assert waits.count(0.0) > SLOW.at_once

    def test_one_step_in_redis_admits_exactly_the_limit(self) -> None:
        waits = together([partial(take, Counter(SLOW, "x"))] * 30, at_once=8)
        assert waits.count(0.0) == SLOW.at_once

    def test_over_several_processes_exceed_it_by_the_local_quota_only(self) -> None:
        """`forget_everything` simulates the start of another process."""
        passed = 0
        for _ in range(10):
            rate_limit.forget_everything()
            passed += [take_often(Counter(SLOW, "x")) for _ in range(10)].count(0.0)
        # The first process reports its unreported uses, as does each other one with the use that is refused.
        assert passed == SLOW.at_once + 9 * UNASKED

    def test_over_several_processes_without_local_quota_are_exact(self) -> None:
        passed = 0
        for _ in range(10):
            rate_limit.forget_everything()
            passed += [take(Counter(SLOW, "x")) for _ in range(10)].count(0.0)
        assert passed == SLOW.at_once


class TestTheCounter:
    """The algorithm in Redis."""

    def test_rare_writes_need_no_call_to_redis(self) -> None:
        assert [take_often(Counter(SLOW, str(number))) for number in range(50)] == [0.0] * 50
        assert asked_redis() == 0

    def test_the_third_use_reports_the_first_two(self) -> None:
        counter = Counter(SLOW, "x")
        assert [take_often(counter) for _ in range(UNASKED)] == [0.0] * UNASKED
        assert asked_redis() == 0
        take_often(counter)
        assert [take(counter) for _ in range(3)].count(0.0) == SLOW.at_once - 3

    def test_a_refused_account_does_not_query_redis_again(self) -> None:
        counter = Counter(SLOW, "x")
        waits = [take_often(counter) for _ in range(6)]
        assert waits[:5] == [0.0] * 5
        redis_services.cache.client.delete(counter.key)
        assert 3_590 < take_often(counter) <= 3_600

    def test_uses_become_available_one_by_one(self) -> None:
        counter = Counter(Limit("quick", 20.0, 2), "x")
        while not take(counter):
            pass
        wait_until(lambda: not take(counter), "a use that is paid off")
        known = int(redis_services.cache.client.get(counter.key) or 0)
        seconds, microseconds = redis_services.cache.client.time()
        assert known - (seconds * 1_000_000 + microseconds) <= 2 * 50_000

    def test_a_counter_expires_once_all_uses_are_available(self) -> None:
        counter = Counter(Limit("quick", 10.0, 5), "x")
        take(counter)
        assert 0 < redis_services.cache.client.pttl(counter.key) <= 100

    def test_a_clock_set_back_blocks_only_briefly(self) -> None:
        counter = Counter(SLOW, "x")
        redis_services.cache.client.set(counter.key, 2**52)
        assert 0.0 < take(counter) <= 3_600

    def test_several_counters_are_used_together_or_not_at_all(self) -> None:
        full, free = Counter(SLOW, "full"), Counter(SLOW, "free")
        for _ in range(SLOW.at_once):
            take(full)
        assert take(free, full) > 0
        assert [take(free) for _ in range(SLOW.at_once + 1)].count(0.0) == SLOW.at_once

    def test_the_local_counters_are_limited(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(rate_limit, "_MOST_KNOWN", 100)
        for number in range(1_000):
            take_often(Counter(SLOW, str(number)))
        assert len(rate_limit._local_quota._uses) <= 101


class TestWithoutRedis:
    """Without Redis each process counts on its own, and no request waits."""

    @pytest.fixture(params=["killed", "paused"])
    def unavailable_redis(self, request: pytest.FixtureRequest, own_redis: Redis) -> None:
        redis_services.cache.call(lambda client: client.ping())
        (kill if request.param == "killed" else pause)(own_redis)

    @pytest.mark.usefixtures("unavailable_redis", "few_writes")
    def test_the_limit_applies_per_process(self, user: User) -> None:
        assert [answer.status for answer in charges(user, 5)] == [200, 200, 200, 429, 429]

    @pytest.mark.usefixtures("unavailable_redis")
    def test_the_default_limits_admit_a_normal_customer(self, user: User, pen: Product, settings: Settings) -> None:
        settings.WRITES_PER_SECOND, settings.WRITES_AT_ONCE = 20.0, 40
        shopper = Shopper(user)
        answers = [shopper.post("/api/orders", {"items": [{"productId": pen.pk, "quantity": 1}]}) for _ in range(8)]
        assert {answer.status for answer in answers} == {200}

    @pytest.mark.usefixtures("unavailable_redis")
    def test_concurrent_requests_get_exactly_the_process_limit(self) -> None:
        waits = together([partial(take, Counter(SLOW, "x"))] * 20, at_once=8)
        assert waits.count(0.0) == SLOW.at_once
        assert 0 < max(waits) <= 3_600

    @pytest.mark.usefixtures("unavailable_redis")
    def test_the_local_counters_are_limited_too(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(rate_limit, "_MOST_KNOWN", 100)
        for number in range(1_000):
            take(Counter(SLOW, str(number)))
        assert len(rate_limit._local_counters._paid_off_us) <= 101


def test_every_write_documents_the_429_and_its_header() -> None:
    for path, item in schema()["paths"].items():
        limited = {method for method, operation in item.items() if "429" in operation["responses"]}
        assert limited == {"post", "patch", "delete"} & item.keys(), path
        for method in limited:
            answer = item[method]["responses"]["429"]
            assert "`throttled`" in answer["description"]
            assert answer["headers"]["Retry-After"]["schema"]["type"] == "integer"


def test_the_defaults_leave_room_for_a_normal_customer() -> None:
    """The defaults in settings.py; the environment of the tests disables the limits."""
    assert (project_settings.WRITES_AT_ONCE, project_settings.COUPON_ISSUES_AT_ONCE) == (40, 20)
