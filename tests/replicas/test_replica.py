"""`DATABASE_REPLICA_URL` with a lagging replica: bounded lag, own writes are visible, permissions are current."""

import inspect
from collections.abc import Iterator
from copy import deepcopy
from typing import Any

import pytest
import requests
from django.db import connection, connections
from django.db.backends.base.base import BaseDatabaseWrapper
from prometheus_client import REGISTRY
from pytest_django import Settings

from balances.models import LedgerEntry, User
from commerce.audit.models import StaffAction
from commerce.audit.record import Staff as Actor
from commerce.core import redis_services, replica
from products.models import Product
from products.services import save_product
from tests.back_office.staff import Staff
from tests.breaking import growth_of
from tests.factories import ProductFactory, StaffFactory, UserFactory, charged
from tests.fuzz.web_server import web_server
from tests.replicas.conftest import new_folder, primary_url
from tests.replicas.standby import Standby, standby_of
from tests.shopper import Shopper
from tests.together import wait_until

pytestmark = pytest.mark.django_db(transaction=True)

FOR_EVER = 3_600.0
LEDGER = "balances_ledgerentry_changelist"


@pytest.fixture(scope="module")
def _running(django_db_setup: None, django_db_blocker: Any) -> Iterator[Standby]:
    with django_db_blocker.unblock():
        url = primary_url()
    with standby_of(url, new_folder() / "data") as server:
        yield server


@pytest.fixture
def server(_running: Standby, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[Standby]:
    """A replica of the test's database, configured in the settings, with any allowed lag."""
    # Django only allows a test to connect to databases that existed at its start.
    case = inspect.getclosurevars(BaseDatabaseWrapper.ensure_connection).nonlocals["cls"]
    monkeypatch.setattr(case, "databases", {*case.databases, replica.REPLICA})
    settings.DATABASE_REPLICA_URL = _running.url
    settings.DATABASE_REPLICA_SECONDS = FOR_EVER
    settings.DATABASE_ROUTERS = ["commerce.core.replica.Router"]
    settings.MIDDLEWARE = [*settings.MIDDLEWARE, "commerce.staff_access.middleware.ReadsOwnWrites"]
    described = deepcopy(connections.databases["default"])
    host, _, port = _running.address.partition(":")
    described.update(HOST=host, PORT=port)
    described["OPTIONS"]["target_session_attrs"] = "standby"
    connections.databases[replica.REPLICA] = described
    replica.forget()
    yield _running
    connections[replica.REPLICA].close()
    del connections[replica.REPLICA]
    del connections.databases[replica.REPLICA]
    if _running.query("SELECT pg_is_wal_replay_paused()"):
        _running.resume()


def known_as_recent(server: Standby) -> None:
    """The replica has all current data, and this process has measured that."""
    follow(server)
    wait_until(replica._freshness.is_recent, "the replica to be known as recent")


def follow(server: Standby) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_current_wal_insert_lsn()")
        server.wait_for(cursor.fetchone()[0])


def rename_behind_the_shop(product: Product, name: str) -> None:
    """Prevents that a cached page is rendered again."""
    Product.objects.filter(pk=product.pk).update(name=name)


def names_in_list(number: int) -> list[str]:
    """A page that has not been requested before."""
    return [row["name"] for row in Shopper().get("/api/products", {"minPrice": number}).json["results"]]


def edited_long_ago() -> None:
    """The catalogue, as cached."""
    redis_services.cache.client.set("page:products:generation", f"t{1:013d}{'0' * 18}")


def reads_of_replica() -> float:
    return REGISTRY.get_sample_value("commerce_replica_reads_total", {"server": "replica"}) or 0.0


def entries_shown(staff: Staff) -> int:
    page = staff.get(LEDGER)
    assert page.status_code == 200
    return len(page.context["cl"].result_list)


class TestTheCatalogue:
    def test_is_read_from_the_replica(self, server: Standby) -> None:
        product = ProductFactory(name="Old name", price=1_000)
        edited_long_ago()
        known_as_recent(server)
        server.pause()
        rename_behind_the_shop(product, "New name")
        with growth_of("commerce_replica_reads_total", server="replica") as reads:
            assert names_in_list(2) == ["Old name"]
        assert reads.by == 1

    def test_is_read_from_the_primary_once_the_replica_is_too_far_behind(
        self, server: Standby, settings: Settings
    ) -> None:
        product = ProductFactory(name="Old name", price=1_000)
        edited_long_ago()
        settings.DATABASE_REPLICA_SECONDS = 0.5
        known_as_recent(server)
        server.pause()
        rename_behind_the_shop(product, "New name")
        numbers = iter(range(2, 1_000))
        wait_until(lambda: names_in_list(next(numbers)) == ["New name"], "the primary to be read")
        assert names_in_list(next(numbers)) == ["New name"]
        server.resume()
        before = reads_of_replica()
        wait_until(lambda: names_in_list(next(numbers)) and reads_of_replica() > before, "the replica to be read again")

    def test_shows_an_edit_at_once(self, server: Standby) -> None:
        product = ProductFactory(name="Old name", price=1_000)
        edited_long_ago()
        known_as_recent(server)
        server.pause()
        product.name = "New name"
        save_product(product, by=Actor(StaffFactory().pk))
        assert names_in_list(1) == ["New name"]
        assert names_in_list(2) == ["New name"]


class TestOfTheBackOffice:
    def test_a_history_is_read_from_the_replica(self, server: Standby) -> None:
        staff, user = Staff(superuser=True), UserFactory(balance=0)
        charged(user, 5)
        known_as_recent(server)
        server.pause()
        charged(user, 5)
        assert LedgerEntry.objects.count() == 2
        assert entries_shown(staff) == 1

    def test_staff_see_their_own_writes(self, server: Standby) -> None:
        staff, user = Staff(superuser=True), UserFactory(balance=0)
        known_as_recent(server)
        server.pause()
        typed = {"direction": "credit", "amount_won": 700, "reason": "A gift", "confirmed": "True"}
        assert staff.press("balances_user_adjust", user.pk, **typed).status_code == 302
        assert (entries_shown(staff), entries_shown(Staff(superuser=True))) == (1, 0)

    def test_an_export_is_read_from_the_replica_and_recorded_on_the_primary(self, server: Standby) -> None:
        staff, user = Staff(superuser=True), UserFactory(balance=0)
        charged(user, 5)
        known_as_recent(server)
        server.pause()
        charged(user, 5)
        exported = staff.get("balances_ledgerentry_export", "csv")
        assert (exported.status_code, len(exported.content.splitlines())) == (200, 2)
        assert StaffAction.objects.get().after["rows"] == 1
        assert entries_shown(staff) == 2

    def test_a_removed_permission_takes_effect_at_once(self, server: Standby) -> None:
        staff = Staff("balances.view_ledgerentry")
        known_as_recent(server)
        server.pause()
        assert entries_shown(staff) == 0
        staff.user.user_permissions.clear()
        assert staff.get(LEDGER).status_code == 403


def test_customers_see_their_own_writes(server: Standby) -> None:
    user: User = UserFactory(balance=0)
    known_as_recent(server)
    server.pause()
    shopper = Shopper(user)
    assert shopper.post("/api/balance/charge", {"amount": 700}).status == 200
    assert shopper.get(f"/api/balance/{user.pk}").json["balance"] == 700
    assert [row["amount"] for row in shopper.get("/api/users/balance/history").json["results"]] == [700]


def test_a_row_of_the_replica_is_saved_on_the_primary(server: Standby) -> None:
    product = ProductFactory(name="Old name")
    known_as_recent(server)
    read = replica.read(lambda: Product.objects.get(pk=product.pk))
    assert read._state.db == replica.REPLICA
    read.name = "New name"
    read.save(update_fields=["name"])
    assert Product.objects.get(pk=product.pk).name == "New name"


def test_an_unavailable_replica_fails_no_read(server: Standby) -> None:
    staff, user = Staff(superuser=True), UserFactory(balance=0)
    charged(user, 5)
    known_as_recent(server)
    assert entries_shown(staff) == 1
    server.kill()
    try:
        with growth_of("commerce_replica_reads_total", server="primary") as reads:
            assert entries_shown(staff) == 1
            assert entries_shown(staff) == 1
        assert reads.by == 2
    finally:
        server.start_again()


def test_a_web_server_reads_from_it(server: Standby) -> None:
    """With one connection to each server: requests that need both do not deadlock."""
    ProductFactory(price=1_000)
    follow(server)
    edited_long_ago()
    numbers = iter(range(1, 1_000))
    with web_server(DATABASE_REPLICA_URL=server.url, WEB_CONNECTIONS="1") as web:

        def has_read_the_replica() -> bool:
            page = requests.get(f"{web.url}/api/products?minPrice={next(numbers)}", timeout=10)
            assert len(page.json()["results"]) == 1
            metrics = requests.get(f"{web.url}/metrics", timeout=10).text
            return 'commerce_replica_reads_total{server="replica"}' in metrics

        wait_until(has_read_the_replica, "the replica to be read")
