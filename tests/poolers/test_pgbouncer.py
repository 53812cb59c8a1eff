"""The shop behind PgBouncer in transaction mode: one dispatcher at a time, timeouts that apply, correct writes."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from balances.models import User
from commerce.api.authentication import tokens_for
from commerce.outbox.routes import DATA_PLATFORM, KAFKA
from orders.models import Order
from tests.factories import ProductFactory, UserFactory
from tests.fuzz.web_server import web_server
from tests.outbox.conftest import own_sinks, own_topics, partner, publish_events, read_topic, waiting  # noqa: F401  # fixtures
from tests.outbox.manage import managed, run
from tests.outbox.partner import Partner
from tests.poolers.pgbouncer import PgBouncerUnavailable, pgbouncer, pooled_database
from tests.together import wait_until

try:
    pgbouncer()
except PgBouncerUnavailable as unavailable:
    pytest.skip(str(unavailable), allow_module_level=True)

pytestmark = pytest.mark.django_db(transaction=True)

RELAYS = 3


@pytest.fixture
def database_url(tmp_path: Path) -> Iterator[str]:
    with pooled_database(tmp_path / "pgbouncer") as url:
        yield url


def test_three_relays_send_each_message_once(database_url: str, partner: Partner) -> None:  # noqa: F811  # a fixture
    environment = {
        "DATABASE_URL": database_url,
        "DATABASE_POOLED": "true",
        "DATA_PLATFORM_SECRET": "the partner's and our secret, 40 letters",
        "DATA_PLATFORM_URL": partner.url,
        "OUTBOX_BATCH_SIZE": "5",
        "OUTBOX_POLL_SECONDS": "0.05",
    }
    with (
        managed("relay_outbox", environment=environment) as one,
        managed("relay_outbox", environment=environment) as two,
        managed("relay_outbox", environment=environment) as three,
    ):
        wait_until(lambda: all(relay.printed("Relaying") for relay in (one, two, three)), "the relays")
        event_ids = [
            event
            for user in range(1, 31)
            for event in publish_events(user_id=user, event_type="order-completed", times=10)
        ]
        wait_until(lambda: not waiting(KAFKA) + waiting(DATA_PLATFORM), "the messages to leave")
        assert [relay.stop() for relay in (one, two, three)] == [0, 0, 0]
    assert sorted(partner.keys) == sorted(event_ids)
    records = read_topic("order-completed", at_least=300)
    assert sorted(json.loads(record.value)["id"] for record in records) == sorted(event_ids)


def test_orders_are_placed_and_read(database_url: str) -> None:
    """Statements prepared in another session would fail, and so would the options of a connection."""
    user, product = UserFactory(balance=100_000), ProductFactory(price=100, stock=50)
    with web_server(DATABASE_URL=database_url, DATABASE_POOLED="true") as web:
        headers = {"Authorization": f"Bearer {tokens_for(user_id=user.pk, is_staff=False).access}"}
        for number in range(20):
            placed = requests.post(
                f"{web.url}/api/orders",
                json={"items": [{"productId": product.pk, "quantity": 1}]},
                headers={**headers, "Idempotency-Key": f"order-{number}"},
                timeout=10,
            )
            assert placed.status_code == 200, placed.text
            read = requests.get(f"{web.url}/api/users/orders", headers=headers, timeout=10)
            assert (read.status_code, len(read.json()["results"])) == (200, number + 1)
    assert Order.objects.count() == 20
    assert User.objects.get(pk=user.pk).balance == 98_000


class TestAPoolerThatDropsTheLimits:
    """PgBouncer with `ignore_startup_parameters = options`."""

    def test_is_refused_where_the_settings_do_not_name_it(self, database_url: str) -> None:
        ended = run("outbox_status", environment={"DATABASE_URL": database_url, "DATABASE_LOCK_TIMEOUT_MS": "1999"})
        assert ended.returncode == 1
        assert "lock_timeout is 2000 ms on this connection, but DATABASE_LOCK_TIMEOUT_MS is 1999." in ended.stderr

    def test_is_refused_where_the_role_has_no_limits(self, tmp_path: Path) -> None:
        with pooled_database(tmp_path / "pgbouncer", with_limits=False) as url:
            ended = run("outbox_status", environment={"DATABASE_URL": url, "DATABASE_POOLED": "true"})
        assert ended.returncode == 1
        assert "SET lock_timeout = 2000" in ended.stderr

    def test_is_taken_where_the_role_has_them(self, database_url: str) -> None:
        ended = run("outbox_status", environment={"DATABASE_URL": database_url, "DATABASE_POOLED": "true"})
        assert ended.returncode == 0, ended.stderr
