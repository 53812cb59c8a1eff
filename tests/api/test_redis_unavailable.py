"""Redis killed, paused, or emptied: writes still work, with PostgreSQL's advisory locks, and readiness reports it."""

import logging
import time
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial

import pytest
from django.conf import settings as project_settings
from django.db import connection
from django.test import Client
from pytest_django import Settings

from balances.models import User
from commerce.core import locks, redis_services
from commerce.embedded.redis_server import Redis
from products.models import Product
from tests.breaking import as_text, growth_of, kill, pause, resume
from tests.factories import CouponFactory, ProductFactory, order_of
from tests.groups import before_writing, stopped_before_writing
from tests.shopper import NO_BODY, Answer, Shopper
from tests.together import another_session, meanwhile, wait_until

pytestmark = pytest.mark.django_db(transaction=True)

BUDGET_SECONDS = 3.0
FAULTS: dict[str, Callable[[Redis], None]] = {"killed": kill, "paused": pause}


@pytest.fixture(params=list(FAULTS))
def unavailable_redis(request: pytest.FixtureRequest, own_redis: Redis) -> None:
    """A Redis server that worked and was then killed."""
    assert redis_services.cache.call(lambda client: client.ping())
    assert redis_services.locks.call(lambda client: client.ping())
    FAULTS[request.param](own_redis)


def advisory_locks_of_products() -> set[str]:
    """The advisory locks of products that are held in PostgreSQL."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT 'product:' || id || ':lock' FROM product, pg_locks WHERE locktype = 'advisory' AND granted"
            " AND (classid::bigint << 32) | objid::bigint = hashtextextended('product:' || product.id || ':lock', 0)"
        )
        return {name for (name,) in cursor.fetchall()}


def quickly(request: Callable[[], Answer]) -> Answer:
    """The response; fails if it takes longer than the limit."""
    started = time.monotonic()
    answer = request()
    assert time.monotonic() - started < BUDGET_SECONDS
    return answer


@pytest.mark.usefixtures("unavailable_redis")
def test_writes_work_without_redis(user: User, pen: Product) -> None:
    coupon = CouponFactory()
    shopper = Shopper(user)
    requests = [
        ("/api/balance/charge", {"amount": 1_000}, 200),
        (f"/api/coupons/{coupon.pk}/issue", NO_BODY, 200),
        ("/api/orders", {"items": [{"productId": pen.pk, "quantity": 2}]}, 200),
        ("/api/orders", {"items": [{"productId": pen.pk, "quantity": 99}]}, 400),
    ]
    for number, (path, body, status) in enumerate(requests):
        assert quickly(partial(shopper.post, path, body, key=f"request-{number}")).status == status
    order = order_of(user, {pen: 1})
    assert quickly(lambda: shopper.post(f"/api/orders/{order.pk}/cancel")).status == 200
    assert quickly(lambda: shopper.get("/api/products")).json["count"] == 1
    assert quickly(lambda: shopper.get(f"/api/balance/{user.pk}")).json["balance"] == 50_000 + 1_000 - 2_400
    pen.refresh_from_db()
    assert pen.stock == 8


@pytest.mark.usefixtures("unavailable_redis")
def test_keys_are_locked_as_advisory_locks_and_counted(user: User, pen: Product) -> None:
    chair = ProductFactory(price=100)
    body = {"items": [{"productId": product.pk, "quantity": 1} for product in (chair, pen)]}
    names = {f"product:{product.pk}:lock" for product in (pen, chair)}
    with (
        growth_of("commerce_lock_fallbacks_total") as fallbacks,
        stopped_before_writing() as order,
        meanwhile(lambda: Shopper(user).post("/api/orders", body)) as answer,
    ):
        order.wait()
        assert advisory_locks_of_products() == names
        order.go_on()
        assert answer.result().status == 200
    assert fallbacks.by == 1


@pytest.mark.usefixtures("unavailable_redis")
def test_a_write_waits_for_an_advisory_lock_and_others_go_on(user: User, pen: Product) -> None:
    chair = ProductFactory(price=100)

    def order(product: Product) -> Answer:
        return Shopper(user).post("/api/orders", {"items": [{"productId": product.pk, "quantity": 1}]})

    with ExitStack() as held:
        session = held.enter_context(another_session())
        session.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", [f"product:{pen.pk}:lock"])
        with meanwhile(lambda: order(pen)) as waits:
            assert order(chair).status == 200
            assert not waits.done()
            held.close()
            assert waits.result().status == 200


@pytest.mark.usefixtures("unavailable_redis")
def test_after_one_failure_redis_is_not_called_for_a_while(user: User, settings: Settings) -> None:
    settings.REDIS_PAUSE_SECONDS = 60
    shopper = Shopper(user)
    with growth_of("commerce_redis_failures_total", alias="locks") as failures:
        for _ in range(3):
            shopper.post("/api/balance/charge", {"amount": 1})
    assert failures.by == 1


@pytest.mark.usefixtures("unavailable_redis")
def test_readyz_stays_200_and_reports_it() -> None:
    response = Client().get("/readyz")
    assert response.status_code == 200
    assert (response.json()["status"], response.json()["redis"]) == ("ready", "down")
    assert response.json()["database"] == "up"


@pytest.mark.usefixtures("unavailable_redis")
def test_the_balance_is_read_without_its_cache(user: User, settings: Settings) -> None:
    settings.BALANCE_READ = "cache"
    assert quickly(lambda: Shopper(user).get(f"/api/balance/{user.pk}")).json["balance"] == 50_000


@pytest.mark.usefixtures("unavailable_redis")
def test_a_bypassed_page_is_counted(pen: Product) -> None:
    with growth_of("commerce_cache_lookups_total", page="products", outcome="bypass") as bypasses:
        assert Shopper().get("/api/products").json["count"] == 1
    assert bypasses.by == 1


def test_a_redis_that_is_back_is_used_again(own_redis: Redis, user: User) -> None:
    shopper = Shopper(user)
    kill(own_redis)
    shopper.post("/api/balance/charge", {"amount": 1})
    own_redis.start()
    redis_services.locks.forget_pause()
    with growth_of("commerce_lock_fallbacks_total") as fallbacks:
        assert shopper.post("/api/balance/charge", {"amount": 1}).status == 200
    assert fallbacks.by == 0


def test_redis_is_called_again_after_its_pause(own_redis: Redis, user: User, settings: Settings) -> None:
    settings.REDIS_PAUSE_SECONDS = 0.05
    shopper = Shopper(user)
    kill(own_redis)
    shopper.post("/api/balance/charge", {"amount": 1})
    own_redis.start()

    def is_asked() -> bool:
        with growth_of("commerce_lock_fallbacks_total") as fallbacks:
            shopper.post("/api/balance/charge", {"amount": 1})
        return fallbacks.by == 0

    wait_until(is_asked, "a write that locks in Redis")


class TestALockWhoseAnswerNeverCame:
    """Redis has set the lock, but its reply was lost: the key must not be locked for a whole TTL."""

    def _orphan(self, own_redis: Redis, user: User, settings: Settings) -> None:
        settings.REDIS_PAUSE_SECONDS = 0.0
        settings.LOCK_WAIT_SECONDS = 0.2
        Shopper(user).post("/api/balance/charge", {"amount": 1})  # loads the script into Redis
        pause(own_redis)
        assert Shopper(user).post("/api/balance/charge", {"amount": 1}).status == 200
        resume(own_redis)
        key = locks.user_lock(user.pk)
        wait_until(lambda: redis_services.locks.call(lambda client: client.exists(key)), "the orphaned lock")

    def test_is_freed_before_the_next_lock_is_taken(self, own_redis: Redis, user: User, settings: Settings) -> None:
        self._orphan(own_redis, user, settings)
        assert Shopper(user).post("/api/balance/charge", {"amount": 1}).json["balance"] == 50_003
        assert redis_services.locks.call(lambda client: client.keys("*")) == []

    def test_control_without_the_release_it_blocks_its_user(
        self, own_redis: Redis, user: User, settings: Settings, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The control of the test above."""
        monkeypatch.setattr(locks.redis_locks, "_free_doubtful", lambda: None)
        self._orphan(own_redis, user, settings)
        assert Shopper(user).post("/api/balance/charge", {"amount": 1}).outcome == (503, "lock_timeout")
        locks.redis_locks._doubtful.clear()


class TestALockInUse:
    """The lock in Redis while a charge is between its reads and its writes."""

    def _charge_looked_at(self, user: User, look: Callable[[], object]) -> Answer:
        with before_writing(look):
            return Shopper(user).post("/api/balance/charge", {"amount": 1})

    def test_has_its_documented_name_and_always_a_ttl(self, user: User) -> None:
        seen: dict[str, int] = {}

        def look() -> None:
            client = redis_services.locks.client
            seen.update({as_text(key): client.pttl(key) for key in client.keys("*")})

        assert self._charge_looked_at(user, look).status == 200
        assert seen.keys() == {f"user:{user.pk}:lock"}
        assert 0 < seen[f"user:{user.pk}:lock"] <= project_settings.LOCK_TTL_SECONDS * 1_000
        assert redis_services.locks.client.keys("*") == []

    def test_that_is_lost_is_logged_and_counted_and_the_write_succeeds(
        self, user: User, caplog: pytest.LogCaptureFixture
    ) -> None:
        with growth_of("commerce_locks_lost_total") as lost, caplog.at_level(logging.WARNING):
            answer = self._charge_looked_at(user, redis_services.locks.client.flushdb)
        assert answer.json["balance"] == 50_001
        assert lost.by == 1
        assert "lost before their release" in caplog.text

    def test_of_another_owner_is_not_released_by_a_late_one(self, user: User) -> None:
        key = locks.user_lock(user.pk)
        answer = self._charge_looked_at(user, lambda: redis_services.locks.client.set(key, "another owner", px=5_000))
        assert answer.status == 200
        assert redis_services.locks.client.get(key) == b"another owner"
