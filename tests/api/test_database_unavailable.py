"""PostgreSQL busy, slow, restarted or unavailable: 503 with Retry-After, no changes, and recovery without a restart."""

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from typing import Any, TypeVar
from unittest import mock

import pytest
from django.db import close_old_connections, connection, connections
from django.test import Client
from pytest_django import Settings

from balances.models import User
from commerce.core.group_commit import close_idle_connections
from commerce.core.pipeline import APPLICATION_NAME, Pipeline, Statement
from coupons.models import Coupon
from orders.models import Order
from products.models import Product
from tests.factories import CouponFactory, ProductFactory, UserFactory, order_of
from tests.groups import before_writing, round_trips
from tests.shop_state import nothing_changes
from tests.shopper import NO_BODY, Answer, Shopper
from tests.together import another_session, meanwhile, row_held, wait_until

T = TypeVar("T")

pytestmark = pytest.mark.django_db(transaction=True)


class Shop:
    """Rows for each kind of write."""

    def __init__(self) -> None:
        self.user: User = UserFactory(balance=50_000)
        self.pen: Product = ProductFactory(price=1_200)
        self.coupon: Coupon = CouponFactory()
        self.order: Order = order_of(self.user, {self.pen: 1})
        self.shopper = Shopper(self.user)

    def writes(self) -> dict[str, tuple[str, Any, str, int]]:
        """Path and body of each write, and a row that it has to lock."""
        return {
            "charge": ("/api/balance/charge", {"amount": 1}, "user", self.user.pk),
            "order": (
                "/api/orders",
                {"items": [{"productId": self.pen.pk, "quantity": 1}]},
                "product",
                self.pen.pk,
            ),
            "issue": (f"/api/coupons/{self.coupon.pk}/issue", NO_BODY, "coupon", self.coupon.pk),
            "cancel": (f"/api/orders/{self.order.pk}/cancel", NO_BODY, "order", self.order.pk),
        }


@pytest.fixture
def shop() -> Shop:
    return Shop()


WRITES = ["charge", "order", "issue", "cancel"]


def on_a_session_with(setting: str, milliseconds: int, request: Callable[[], Answer]) -> Answer:
    """Send the request in a thread whose database connection has this time limit."""

    def run() -> Answer:
        with connection.cursor() as cursor:
            cursor.execute(f"SET {setting} = {milliseconds}")
        return request()

    with meanwhile(run) as answer:
        return answer.result()


@pytest.mark.parametrize("write", WRITES)
def test_waiting_too_long_for_a_row_is_a_lock_timeout(shop: Shop, write: str, settings: Settings) -> None:
    settings.LOCK_WAIT_SECONDS = 0.05
    path, body, table, row_id = shop.writes()[write]
    with nothing_changes(), row_held(table, row_id):
        answer = shop.shopper.post(path, body, key="k")
    assert answer.outcome == (503, "lock_timeout")
    assert answer.headers["Retry-After"] == "1"
    settings.LOCK_WAIT_SECONDS = 3.0
    assert shop.shopper.post(path, body, key="k").status == 200


@pytest.mark.parametrize("write", WRITES)
def test_a_write_waits_for_a_locked_row(shop: Shop, write: str) -> None:
    path, body, table, row_id = shop.writes()[write]
    with round_trips() as trips, ExitStack() as held:
        held.enter_context(row_held(table, row_id))
        with meanwhile(lambda: shop.shopper.post(path, body)) as answer:
            wait_until(lambda: len(trips.postgresql) > 4, "a second try")
            held.close()
            assert answer.result().status == 200


@pytest.mark.parametrize("path", ["/api/orders/{order}", "/api/users/orders"])
def test_an_altered_table_is_a_lock_timeout_for_reads_too(shop: Shop, path: str) -> None:
    path = path.format(order=shop.order.pk)
    with another_session() as migration:
        migration.execute('LOCK TABLE "order" IN ACCESS EXCLUSIVE MODE')
        answer = on_a_session_with("lock_timeout", 50, lambda: shop.shopper.get(path))
    assert answer.outcome == (503, "lock_timeout")
    assert answer.headers["Retry-After"] == "1"
    assert shop.shopper.get(path).status == 200


def test_a_statement_timeout_is_service_unavailable(shop: Shop, settings: Settings) -> None:
    settings.TRANSACTION_SECONDS = 0.2
    path, body, _, _ = shop.writes()["charge"]
    with another_session() as migration:
        migration.execute('LOCK TABLE "user" IN ACCESS EXCLUSIVE MODE')
        answer = shop.shopper.post(path, body, key="k")
    assert answer.outcome == (503, "service_unavailable")
    assert answer.headers["Retry-After"] == "2"
    settings.TRANSACTION_SECONDS = 5.0
    again = shop.shopper.post(path, body, key="k")
    assert (again.status, again.replayed) == (200, False)


def test_the_limits_of_a_session_are_the_documented_ones() -> None:
    with connection.cursor() as cursor:
        limits = {}
        for name in ("lock_timeout", "statement_timeout", "idle_in_transaction_session_timeout"):
            cursor.execute(f"SHOW {name}")
            limits[name] = cursor.fetchone()[0]
    assert limits == {
        "lock_timeout": "2s",
        "statement_timeout": "5s",
        # The limit of the tests (tests/servers.py); the shop's is 5 s.
        "idle_in_transaction_session_timeout": "1min",
    }


def test_a_shared_transaction_has_the_same_limits() -> None:
    pipeline = Pipeline()
    names = ("lock_timeout", "statement_timeout", "idle_in_transaction_session_timeout")
    answers = pipeline.run([Statement(f"SHOW {name}") for name in names], deadline=time.monotonic() + 5)
    pipeline.close()
    assert answers == [[("2s",)], [("5s",)], [("1min",)]]


def _terminate(backend: int) -> None:
    with another_session() as session:
        session.execute("SELECT pg_terminate_backend(%s, 5000)", [backend])


def _terminate_writers() -> None:
    """Terminate the connections of group commits."""
    with another_session() as session:
        session.execute(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
            " WHERE datname = current_database() AND application_name = %s",
            [APPLICATION_NAME],
        )


def _backend() -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        pid: int = cursor.fetchone()[0]
        return pid


@pytest.fixture
def kept_connection() -> Iterator[None]:
    """Keep the connection of the thread between requests, as the web server does and the test client does not."""
    close_old_connections()
    yield
    connection.close()


@pytest.mark.usefixtures("kept_connection")
def test_an_idle_connection_that_broke_fails_no_request(shop: Shop) -> None:
    before = _backend()
    _terminate(before)
    close_old_connections()
    assert shop.shopper.get(f"/api/balance/{shop.user.pk}").status == 200
    assert _backend() != before


def test_an_idle_write_connection_that_broke_fails_no_request(shop: Shop) -> None:
    _terminate_writers()
    assert shop.shopper.post("/api/balance/charge", {"amount": 1}).status == 200


@pytest.mark.usefixtures("kept_connection")
def test_a_healthy_connection_is_reused_without_a_round_trip(shop: Shop) -> None:
    before = _backend()
    close_old_connections()
    assert shop.shopper.get(f"/api/balance/{shop.user.pk}").status == 200
    assert _backend() == before


@pytest.mark.parametrize("write", WRITES)
def test_a_backend_terminated_before_commit_fails_no_request(shop: Shop, write: str) -> None:
    """Nothing was changed, so the write is repeated."""
    path, body, _, _ = shop.writes()[write]
    with before_writing(_terminate_writers):
        first = shop.shopper.post(path, body, key="k")
    assert (first.status, first.replayed) == (200, False)
    again = shop.shopper.post(path, body, key="k")
    assert (again.content, again.replayed) == (first.content, True)


def unreachable(port: int, request: Callable[[], T]) -> T:
    """Send the request in a thread whose database connection fails: its port is closed."""

    close_idle_connections()
    elsewhere = {"HOST": "127.0.0.1", "PORT": str(port)}
    with mock.patch.dict(connections.settings["default"], elsewhere), meanwhile(request) as answer:
        return answer.result()


@pytest.mark.parametrize("write", WRITES)
def test_without_a_database_every_write_is_a_503(shop: Shop, write: str, closed_port: int) -> None:
    path, body, _, _ = shop.writes()[write]
    for key in ("k", None):
        with nothing_changes():
            answer = unreachable(closed_port, partial(shop.shopper.post, path, body, key=key))
        assert answer.outcome == (503, "service_unavailable")
        assert answer.headers["Retry-After"] == "2"
        assert answer.json["title"] == "Temporarily unavailable"
    assert shop.shopper.post(path, body, key="k").status == 200


READS = ["/api/balance/{user}", "/api/users/balance/history", "/api/users/orders", "/api/users/coupons", "/api/coupons",
         "/api/products", "/api/products/{pen}", "/api/products/popular", "/api/orders/{order}"]  # fmt: skip


@pytest.mark.parametrize("path", READS)
def test_without_a_database_every_read_is_a_503(shop: Shop, path: str, closed_port: int) -> None:
    address = path.format(user=shop.user.pk, pen=shop.pen.pk, order=shop.order.pk)
    answer = unreachable(closed_port, lambda: shop.shopper.get(address))
    assert answer.outcome == (503, "service_unavailable")
    assert answer.headers["Retry-After"] == "2"


def test_without_a_database_a_login_is_a_503(closed_port: int) -> None:
    body = {"username": "jimin", "password": "x"}
    answer = unreachable(closed_port, lambda: Shopper().post("/api/auth/token", body))
    assert answer.outcome == (503, "service_unavailable")


def test_without_a_database_a_cached_list_is_served(shop: Shop, closed_port: int) -> None:
    shown = shop.shopper.get("/api/products")
    answer = unreachable(closed_port, lambda: shop.shopper.get("/api/products"))
    assert (answer.status, answer.content) == (200, shown.content)


def test_without_a_database_an_invalid_body_is_refused(shop: Shop, closed_port: int) -> None:
    answer = unreachable(closed_port, lambda: shop.shopper.post("/api/balance/charge", {"amount": 0}))
    assert answer.outcome == (400, "validation_error")


def test_without_a_database_the_process_is_live_but_not_ready(closed_port: int) -> None:
    def probe(path: str) -> tuple[int, Any]:
        response = Client().get(path)
        return response.status_code, response.json()

    assert unreachable(closed_port, lambda: probe("/livez")) == (200, {"status": "up"})
    status, parts = unreachable(closed_port, lambda: probe("/readyz"))
    assert status == 503
    assert (parts["status"], parts["database"], parts["redis"]) == ("not ready", "down", "up")
