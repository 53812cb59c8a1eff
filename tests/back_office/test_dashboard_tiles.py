"""The dashboard's tiles: permissions, number of queries, unavailable servers."""

import re
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from pytest_django import Settings

from commerce.back_office import health as back_office_health
from commerce.back_office.roles import ROLES
from commerce.core import redis_services, sql
from commerce.embedded.redis_server import Redis
from commerce.outbox import status
from commerce.outbox.models import OutboxMessage
from commerce.server import health
from tests.api.test_database_unavailable import unreachable
from tests.back_office.staff import Staff
from tests.breaking import kill, pause
from tests.factories import UserFactory
from tests.operations.busy_shop import busy_shop
from tests.plans import plan_of
from tests.shop_state import statements
from tests.together import meanwhile, wait_until

pytestmark = pytest.mark.django_db(transaction=True)

SERVERS = ["PostgreSQL", "Redis (cache)", "Redis (locks)", "Kafka"]
ASKS = {
    "sales": r'FROM "order"',
    "sold": r'FROM "product_stat"',
    "stock": r'"product"\."stock"',
    "coupons": r'FROM "coupon"',
    "deliveries": r"FROM outbox_message",
    "webhooks": r'FROM "webhook_subscription"',
    "books": r'FROM "invariant_check"',
}
"""A part of the SQL that only this tile uses."""


def tiles(staff: Staff) -> dict[str, Any]:
    page = staff.get("index")
    assert page.status_code == 200
    return dict(page.context["tiles"])


def up(staff: Staff) -> dict[str, bool]:
    """Whether each server answers, according to the page."""
    return {name: milliseconds is not None for name, milliseconds in round_trips(staff).items()}


def round_trips(staff: Staff) -> dict[str, int | None]:
    """Milliseconds by server; None for one that does not answer."""
    return {str(part.name): part.round_trip_ms for part in tiles(staff)["health"]["parts"]}


def wait_until_all_up(staff: Staff) -> dict[str, int]:
    """Milliseconds by server.

    Waits, because after a late answer on a busy machine a server is not called for a while.
    """
    shown: dict[str, int | None] = {}

    def all_up() -> bool:
        shown.update(round_trips(staff))
        return None not in shown.values()

    wait_until(all_up, "every server to be shown as up")
    return {name: milliseconds or 0 for name, milliseconds in shown.items()}


class TestRights:
    @pytest.mark.parametrize(
        ("right", "seen"),
        [
            ("orders.view_order", {"sales"}),
            ("stats.view_productstat", {"sold"}),
            ("products.view_product", {"stock"}),
            ("products.change_product", {"stock"}),
            ("coupons.view_coupon", {"coupons"}),
            ("outbox.view_outboxmessage", {"deliveries", "health"}),
            ("outbox.view_webhooksubscription", {"webhooks"}),
            ("invariants.view_invariantcheck", {"books", "health"}),
            ("balances.view_user", set()),
        ],
    )
    def test_a_tile_requires_the_permission_of_its_table(self, right: str, seen: set[str]) -> None:
        clerk = Staff(right)
        with statements() as ran:
            assert set(tiles(clerk)) == seen
        for tile, question in ASKS.items():
            asked = any(re.search(question, statement) for statement in ran)
            assert asked == (tile in seen), (tile, ran)

    @pytest.mark.parametrize(
        ("role", "seen"),
        [
            ("Viewer", {"sales", "sold", "stock", "coupons"}),
            ("Support", {"sales", "sold", "stock", "coupons", "deliveries", "webhooks", "health"}),
            ("Merchandiser", {"sales", "sold", "stock", "coupons"}),
            ("Finance", {"sales", "sold", "stock", "coupons"}),
            ("Operator", {"sales", "sold", "stock", "coupons", "deliveries", "webhooks", "books", "health"}),
        ],
    )
    def test_each_role_has_its_tiles(self, role: str, seen: set[str]) -> None:
        [rights] = [each.rights for each in ROLES if each.name == role]
        assert set(tiles(Staff(*rights))) == seen

    def test_a_user_without_permissions_gets_a_message(self) -> None:
        page = Staff().get("index").content.decode()
        assert "Your account has no permissions yet." in page
        assert 'role="search"' not in page

    def test_products_are_links_only_with_the_permission(self) -> None:
        shop = busy_shop()
        link = f'href="/admin/products/product/{shop.pen.pk}/change/"'
        assert link not in Staff("stats.view_productstat").get("index").content.decode()
        assert link in Staff("stats.view_productstat", "products.view_product").get("index").content.decode()

    def test_every_link_leads_to_a_page(self) -> None:
        busy_shop()
        sql.execute("UPDATE outbox_message SET sent_at = NULL, parked_at = now() WHERE id %% 3 = 0")
        sql.execute("UPDATE outbox_message SET sent_at = NULL WHERE id %% 3 = 1")
        staff = Staff(superuser=True)
        shown = tiles(staff)
        addresses = [
            *(card.address for card in shown["sales"]["periods"]),
            shown["sales"]["address"],
            shown["sold"]["address"],
            shown["stock"]["out_address"],
            shown["stock"]["low_address"],
            shown["coupons"]["address"],
            shown["deliveries"]["address"],
            *(row.waiting_address for row in shown["deliveries"]["rows"]),
            *(row.parked_address for row in shown["deliveries"]["rows"]),
            shown["books"]["address"],
        ]
        # A list redirects to its unfiltered version if a filter is unknown.
        assert {staff.client.get(address).status_code for address in addresses} == {200}


class TestDeliveries:
    def backlogs(self, staff: Staff) -> dict[str, tuple[str, str, str, str]]:
        return {
            row.backlog.destination: (row.waiting, row.waiting_for, row.parked, row.parked_for)
            for row in tiles(staff)["deliveries"]["rows"]
        }

    def test_shows_waiting_and_parked_counts_with_the_oldest_age(self) -> None:
        busy_shop()
        staff = Staff(superuser=True)
        assert self.backlogs(staff) == {
            "kafka": ("0", "", "0", ""),
            "data-platform": ("0", "", "0", ""),
            "webhooks": ("0", "", "0", ""),
        }
        first, second, third, *_ = OutboxMessage.objects.filter(destination="kafka").order_by("id")
        only = OutboxMessage.objects.filter(destination="data-platform").order_by("id")[0]
        late = "UPDATE outbox_message SET sent_at = NULL, created_at = now() - interval '{}' WHERE id = {}"
        sql.execute(late.format("3 hours", first.pk))
        sql.execute(late.format("1 hour", second.pk))
        parked = "UPDATE outbox_message SET sent_at = NULL, parked_at = now() - interval '{}' WHERE id = {}"
        sql.execute(parked.format("2 days", third.pk))
        sql.execute(parked.format("5 minutes", only.pk))
        assert self.backlogs(staff) == {
            "kafka": ("2", "3\N{NO-BREAK SPACE}hours", "1", "2\N{NO-BREAK SPACE}days"),
            "data-platform": ("0", "", "1", "5\N{NO-BREAK SPACE}minutes"),
            "webhooks": ("0", "", "0", ""),
        }

    def test_each_count_leads_to_its_messages(self) -> None:
        busy_shop()
        staff = Staff(superuser=True)
        waiting, parked, *_ = OutboxMessage.objects.filter(destination="kafka").order_by("id")
        sql.execute("UPDATE outbox_message SET sent_at = NULL WHERE id = %s", [waiting.pk])
        sql.execute("UPDATE outbox_message SET sent_at = NULL, parked_at = now() WHERE id = %s", [parked.pk])
        row = next(row for row in tiles(staff)["deliveries"]["rows"] if row.backlog.destination == "kafka")
        for address, message in ((row.waiting_address, waiting), (row.parked_address, parked)):
            assert list(staff.client.get(address).context["cl"].queryset) == [message]

    def test_a_long_queue_is_counted_up_to_a_limit(self, monkeypatch: pytest.MonkeyPatch) -> None:
        busy_shop()
        sql.execute("UPDATE outbox_message SET sent_at = NULL")
        for module in (status, "commerce.back_office.dashboard"):
            monkeypatch.setattr(f"{getattr(module, '__name__', module)}.MOST_COUNTED", 3)
        waiting = {name: counts[0] for name, counts in self.backlogs(Staff(superuser=True)).items()}
        assert waiting == {"kafka": "3+", "data-platform": "3+", "webhooks": "0"}

    def test_messages_of_inactive_destinations_are_shown(self, settings: Settings) -> None:
        busy_shop()
        settings.DATA_PLATFORM_URL = ""
        staff = Staff(superuser=True)
        assert list(self.backlogs(staff)) == ["kafka", "webhooks"]
        sql.execute("UPDATE outbox_message SET sent_at = NULL WHERE destination = 'data-platform'")
        count = OutboxMessage.objects.filter(destination="data-platform").count()
        assert self.backlogs(staff)["data-platform"] == (str(count), "0\N{NO-BREAK SPACE}minutes", "0", "")
        assert "data-platform · switched off" in staff.get("index").content.decode()

    def test_sent_messages_are_not_read(self) -> None:
        """Sent messages are many; both counts use partial indexes without them."""
        busy_shop()
        plan = plan_of(status.BACKLOG, [["kafka"], 10_000, 10_000])
        assert "Seq Scan" not in plan
        assert "outbox_message_parked" in plan
        # Indexes without sent messages.
        assert re.search("outbox_message_(waiting|in_trouble|subscribed)", plan)
        assert "Seq Scan on outbox_message" not in plan


class TestCost:
    @pytest.mark.parametrize("superuser", [True, False])
    def test_it_takes_a_constant_number_of_queries(self, superuser: bool) -> None:
        busy_shop()
        staff = Staff(superuser=True) if superuser else Staff(*(right for role in ROLES for right in role.rights))
        with statements() as few:
            assert len(tiles(staff)) == 8
        for _ in range(3):
            busy_shop()
        sql.execute("UPDATE outbox_message SET sent_at = NULL")
        with statements() as more:
            assert len(tiles(staff)) == 8
        assert len(more) == len(few) <= 20, more


def paused_redis(server: Redis, settings: Settings, closed_port: int) -> None:
    pause(server)


def dead_redis(server: Redis, settings: Settings, closed_port: int) -> None:
    kill(server)


def dead_kafka(server: Redis, settings: Settings, closed_port: int) -> None:
    settings.KAFKA_BOOTSTRAP_SERVERS = f"127.0.0.1:{closed_port}"


def all_dead(server: Redis, settings: Settings, closed_port: int) -> None:
    dead_redis(server, settings, closed_port)
    dead_kafka(server, settings, closed_port)


class TestUnavailableServers:
    def test_servers_are_shown_with_response_times(self) -> None:
        shown = wait_until_all_up(Staff(superuser=True))
        assert list(shown) == SERVERS
        assert all(0 < milliseconds < 30_000 for milliseconds in shown.values())

    @pytest.mark.parametrize(
        ("away", "expected"),
        [
            (paused_redis, [True, False, False, True]),
            (dead_redis, [True, False, False, True]),
            (dead_kafka, [True, True, True, False]),
            (all_dead, [True, False, False, False]),
        ],
    )
    def test_an_unavailable_server_does_not_break_the_page(
        self,
        own_redis: Redis,
        settings: Settings,
        closed_port: int,
        away: Callable[[Redis, Settings, int], None],
        expected: list[bool],
    ) -> None:
        busy_shop()
        staff = Staff(superuser=True)
        wait_until_all_up(staff)
        away(own_redis, settings, closed_port)
        assert up(staff) == dict(zip(SERVERS, expected, strict=True))
        shown = staff.get("index").content.decode()
        assert shown.count("does not answer") == expected.count(False)
        assert "Units by product, last 30 days" in shown

    def test_a_recovered_redis_is_shown_as_up(self, own_redis: Redis) -> None:
        staff = Staff(superuser=True)
        kill(own_redis)
        assert not up(staff)["Redis (cache)"]
        own_redis.start()
        for service in (redis_services.cache, redis_services.locks):
            service.forget_pause()
        wait_until_all_up(staff)

    def test_without_a_database_the_page_is_a_503(self, closed_port: int) -> None:
        staff = Staff(superuser=True)
        staff.client.raise_request_exception = False
        answer = unreachable(closed_port, lambda: staff.get("index"))
        assert (answer.status_code, answer.headers["Retry-After"]) == (503, "2")
        page = answer.content.decode()
        assert "Temporarily unavailable" in page
        assert "Try again in 2 s." in page


class TestServersThatHang:
    @pytest.fixture
    def released(self) -> Iterator[threading.Event]:
        """Releases the blocked servers at the end of the test."""
        event = threading.Event()
        yield event
        event.set()

    def test_a_hanging_server_does_not_delay_the_page(
        self, released: threading.Event, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(health, "ask_kafka", released.wait)
        assert up(Staff(superuser=True)) == dict(zip(SERVERS, [True, True, True, False], strict=True))
        assert not released.is_set()

    def test_hanging_checks_on_all_threads_do_not_delay_the_page(
        self, released: threading.Event, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for probe in ("ask_cache", "ask_locks", "ask_kafka"):
            monkeypatch.setattr(health, probe, released.wait)
        staff = Staff(superuser=True)
        for _ in range(4):
            assert list(up(staff).values()) == [True, False, False, False]
        assert not released.is_set()

    def test_control_without_the_time_limit_it_does(
        self, released: threading.Event, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The control: without the time limit the page waits for the server."""
        entered = threading.Event()

        def hang() -> None:
            entered.set()
            released.wait()

        monkeypatch.setattr(health, "ask_kafka", hang)
        monkeypatch.setattr(back_office_health, "ANSWER_SECONDS", None)
        staff = Staff(superuser=True)
        with meanwhile(lambda: up(staff)) as page:
            assert entered.wait(30)
            assert not page.done()
            released.set()
            assert page.result()["Kafka"]


def test_customers_may_not_see_the_dashboard() -> None:
    staff = Staff(superuser=True)
    staff.client.force_login(UserFactory())
    assert staff.get("index").status_code == 302
