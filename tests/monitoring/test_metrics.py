"""The contents of `/metrics`."""

from collections.abc import Callable

import pytest
from django.db import connection
from django.test import Client
from django.utils import timezone
from pytest_django import Settings

from balances import selectors
from commerce.core import metrics, redis_services, sql
from commerce.core.locks import user_lock
from commerce.embedded.redis_server import Redis
from commerce.invariants.models import InvariantCheck
from commerce.monitoring.figures import ShopFigures
from commerce.outbox.models import OutboxMessage
from commerce.server import health
from commerce.server.request_context import route_template
from stats.models import DeadLetter
from tests.breaking import growth_of
from tests.factories import ProductFactory, UserFactory, order_of
from tests.monitoring.page import Samples, samples_of, value
from tests.shopper import Shopper
from tests.together import together

pytestmark = pytest.mark.django_db(transaction=True)


def page(**headers: str) -> Samples:
    response = Client().get("/metrics", headers=headers)
    assert response.status_code == 200
    return samples_of(response.content.decode())


@pytest.mark.parametrize(
    ("route", "template"),
    [
        ("api/products/(?P<productId>[0-9]{1,18})$", "/api/products/{productId}"),
        (r"^problems/(?P<slug>[a-z0-9-]{1,64})\Z", "/problems/{slug}"),
        ("admin/balances/user/<path:object_id>/change/", "/admin/balances/user/{object_id}/change/"),
        ("livez", "/livez"),
        ("unknown", "unknown"),
    ],
)
def test_a_route_is_labelled_as_the_documentation_writes_it(route: str, template: str) -> None:
    assert route_template(route) == template


def test_a_scraper_may_use_the_ip_address() -> None:
    """Prometheus uses the IP addresses of containers, which are not in ALLOWED_HOSTS."""
    assert value(page(host="10.0.0.7:8000"), "commerce_database_up") == 1


def test_size_and_wait_of_groups_are_measured(api: Callable[..., Shopper]) -> None:
    user = UserFactory()
    with (
        growth_of("commerce_group_writes_sum") as writes,
        growth_of("commerce_group_writes_count") as groups,
        growth_of("commerce_group_wait_seconds_count") as waits,
        growth_of("commerce_group_wait_seconds_sum") as waited_seconds,
        growth_of("commerce_locks_held_seconds_count") as held,
    ):
        for _ in range(3):
            assert api(user).post("/api/balance/charge", {"amount": 10}).status == 200
    assert (writes.by, groups.by, waits.by, held.by) == (3, 3, 3, 3)
    assert 0 <= waited_seconds.by < 9


def test_a_lock_that_another_process_holds_is_counted(api: Callable[..., Shopper], settings: Settings) -> None:
    user = UserFactory()
    settings.LOCK_WAIT_SECONDS = 0.2
    redis_services.locks.client.set(user_lock(user.pk), "somebody else")
    with growth_of("commerce_locks_busy_total") as busy, growth_of("commerce_lock_timeouts_total") as timeouts:
        assert api(user).post("/api/balance/charge", {"amount": 10}).status == 503
    assert busy.by >= 1
    assert timeouts.by == 1


def test_refusals_are_counted_by_their_code(api: Callable[..., Shopper]) -> None:
    user, pen = UserFactory(balance=5), ProductFactory(price=100, stock=1)
    order = {"items": [{"productId": pen.pk, "quantity": 1}]}
    with (
        growth_of("commerce_refusals_total", code="insufficient_balance") as poor,
        growth_of("commerce_refusals_total", code="not_authenticated") as strangers,
    ):
        assert api(user).post("/api/orders", order).outcome == (400, "insufficient_balance")
        assert api().post("/api/orders", order).status == 401
    assert (poor.by, strangers.by) == (1, 1)


def test_money_is_counted_once_it_is_committed(api: Callable[..., Shopper]) -> None:
    user, pen = UserFactory(), ProductFactory(price=700, stock=5)
    with (
        growth_of("commerce_money_won_total", type="CHARGE") as charged,
        growth_of("commerce_money_won_total", type="PAYMENT") as paid,
        growth_of("commerce_money_won_total", type="REFUND") as refunded,
    ):
        assert api(user).post("/api/balance/charge", {"amount": 1_500}).status == 200
        order = api(user).post("/api/orders", {"items": [{"productId": pen.pk, "quantity": 2}]})
        assert api(user).post("/api/orders", {"items": [{"productId": pen.pk, "quantity": 2}]}).status == 400
        assert api(user).post(f"/api/orders/{order.json['id']}/cancel").status == 200
    assert (charged.by, paid.by, refunded.by) == (1_500, 1_400, 1_400)


def test_the_cache_of_balances_counts_what_it_had(settings: Settings) -> None:
    settings.BALANCE_READ = "cache"
    user = UserFactory(balance=5)
    with (
        growth_of("commerce_cache_lookups_total", page="balance", outcome="hit") as hits,
        growth_of("commerce_cache_lookups_total", page="balance", outcome="miss") as misses,
    ):
        for _ in range(3):
            assert selectors.balance_of(user.pk).balance == 5
    assert (misses.by, hits.by) == (1, 2)


def test_concurrent_increments_are_added_once() -> None:
    with growth_of("commerce_locks_busy_total") as busy:

        def note() -> None:
            for _ in range(1_000):
                metrics.noted.append((metrics.LOCKS_BUSY.inc, 1))
                metrics.add_noted()

        together([note] * 4)
    assert busy.by == 4_000


def test_the_outbox_is_shown_by_destination() -> None:
    user, pen = UserFactory(balance=50_000), ProductFactory(price=10, stock=50)
    order_of(user, {pen: 1})
    waiting = OutboxMessage.objects.filter(destination="kafka").count()
    assert waiting > 0
    sql.execute("UPDATE outbox_message SET created_at = now() - interval '90 seconds' WHERE destination = 'kafka'")
    [parked, *_] = OutboxMessage.objects.filter(destination="kafka").order_by("-id")
    parked.parked_at = timezone.now()
    parked.save()
    shown = page()
    assert value(shown, "commerce_outbox_waiting", destination="kafka") == waiting - 1
    assert value(shown, "commerce_outbox_parked", destination="kafka") == 1
    oldest = value(shown, "commerce_outbox_oldest_waiting_seconds", destination="kafka")
    assert oldest is not None
    assert 90 <= oldest < 200


def test_an_empty_outbox_is_shown_as_empty() -> None:
    shown = page()
    assert value(shown, "commerce_outbox_waiting", destination="kafka") == 0
    assert value(shown, "commerce_outbox_oldest_waiting_seconds", destination="kafka") == 0
    assert value(shown, "commerce_dead_letters") == 0


def test_dead_letters_that_wait_are_shown() -> None:
    for offset, replayed_at in ((1, None), (2, None), (3, timezone.now())):
        DeadLetter.objects.create(
            topic="order-completed", partition=0, offset=offset, payload=b"x", reason="bad", replayed_at=replayed_at
        )
    assert value(page(), "commerce_dead_letters") == 2


def test_the_result_of_the_invariants_and_its_time() -> None:
    assert value(page(), "commerce_books_hold") is None
    for holds in (True, False):
        checked_at = timezone.now()
        InvariantCheck.objects.create(
            checked_at=checked_at, duration_ms=1, holds=holds, asked_count=1, is_deep=False, is_quiet=False
        )
        shown = page()
        assert value(shown, "commerce_books_hold") == int(holds)
        assert value(shown, "commerce_books_checked_timestamp_seconds") == pytest.approx(checked_at.timestamp())


def test_the_sessions_of_the_database_are_shown() -> None:
    health.ask_database()
    shown = page()
    probes = value(shown, "commerce_database_connections", application="commerce-probe", state="idle")
    assert probes is not None
    assert probes >= 1
    most = value(shown, "commerce_database_connections_most")
    assert most is not None
    assert most > 10
    assert value(shown, "commerce_database_waiting_for_lock") == 0
    assert value(shown, "commerce_database_oldest_transaction_seconds") is not None


def test_without_the_database_the_page_leaves_out_what_is_unknown(
    closed_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    health.close_connection()
    monkeypatch.setitem(connection.settings_dict, "PORT", str(closed_port))
    shown = page()
    assert value(shown, "commerce_database_up") == 0
    assert value(shown, "commerce_outbox_waiting", destination="kafka") is None
    assert any(name == "commerce_requests_total" for name, _ in shown)


def test_everything_shown_is_described() -> None:
    InvariantCheck.objects.create(
        checked_at=timezone.now(), duration_ms=1, holds=True, asked_count=1, is_deep=False, is_quiet=False
    )
    described = {family.name for family in ShopFigures().describe()}
    assert {family.name for family in ShopFigures().collect()} == described


def test_unavailable_redis_is_counted_as_a_fallback(own_redis: Redis, api: Callable[..., Shopper]) -> None:
    user = UserFactory()
    own_redis.child.kill()
    with growth_of("commerce_lock_fallbacks_total") as fallbacks:
        assert api(user).post("/api/balance/charge", {"amount": 10}).status == 200
    assert fallbacks.by == 1
