"""`/livez`, `/readyz` and `/metrics`."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from django.db import connection
from django.test import Client
from pytest_django import Settings

from commerce.core import redis_services, sql
from commerce.core.group_commit import close_idle_connections
from commerce.embedded.redis_server import Redis
from commerce.outbox.sinks import kafka
from commerce.server import health
from tests.breaking import growth_of
from tests.factories import UserFactory
from tests.shop_state import statements
from tests.shopper import Shopper

pytestmark = pytest.mark.django_db(transaction=True)


def test_livez_needs_no_other_server() -> None:
    with statements() as ran:
        response = Client().get("/livez")
    assert (response.status_code, response.json()) == (200, {"status": "up"})
    assert ran == []


def test_readyz_is_200_with_all_dependencies() -> None:
    response = Client().get("/readyz")
    assert response.status_code == 200
    assert response.json() == {"status": "ready", "database": "up", "redis": "up", "cache": "up", "kafka": "up"}


def test_without_kafka_readyz_is_200_and_reports_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def away(timeout_seconds: float) -> None:
        raise kafka.KafkaUnavailable

    monkeypatch.setattr(kafka, "ping", away)
    response = Client().get("/readyz")
    assert response.status_code == 200
    assert (response.json()["status"], response.json()["kafka"]) == ("ready", "down")


def test_a_stopping_server_is_not_ready_and_closes_connections(tmp_path: Path, settings: Settings) -> None:
    settings.WEB_ENDING_FILE = str(tmp_path / "ending")
    before = Client().get("/readyz")
    assert (before.status_code, before.has_header("Connection")) == (200, False)
    (tmp_path / "ending").touch()
    response = Client().get("/readyz")
    assert (response.status_code, response.headers["Connection"]) == (503, "close")
    assert response.json() == {"status": "not ready", "database": "up", "redis": "up", "cache": "up", "kafka": "up"}
    served = Client().get("/api/products")
    assert (served.status_code, served.headers["Connection"]) == (200, "close")


@pytest.mark.parametrize("path", ["/livez", "/readyz", "/metrics"])
def test_a_probe_may_use_head(path: str) -> None:
    response = Client().head(path)
    assert (response.status_code, response.content) == (200, b"")


@pytest.mark.parametrize("path", ["/livez", "/readyz", "/metrics"])
def test_a_probe_needs_no_https_behind_the_gateway(path: str, settings: Settings) -> None:
    settings.SECURE_SSL_REDIRECT = True
    assert Client().get(path).status_code == 200
    assert Client().get("/api/products").status_code == 301


def test_metrics_count_requests_by_route_template() -> None:
    counter = "commerce_requests_total"
    labels = {"route": "/api/products/{productId}", "method": "GET", "status": "404"}
    with growth_of(counter, **labels) as requests:
        for number in (1, 2, 3):
            Shopper().get(f"/api/products/{number}")
    assert requests.by == 3
    response = Client().get("/metrics")
    assert response.headers["Content-Type"].startswith("text/plain")
    lines = [line for line in response.content.decode().splitlines() if line.startswith(counter + "{")]
    assert any('status="404"' in line and 'route="/api/products/{productId}"' in line for line in lines)
    assert not any("/1" in line for line in lines)


@pytest.fixture
def read_only() -> Iterator[None]:
    """New sessions are read-only, as on a standby."""
    name = connection.settings_dict["NAME"]
    sql.execute(f'ALTER DATABASE "{name}" SET default_transaction_read_only = on')
    connection.close()
    close_idle_connections()
    health.close_connection()
    yield
    sql.execute("SET default_transaction_read_only = off")
    sql.execute(f'ALTER DATABASE "{name}" RESET default_transaction_read_only')
    connection.close()
    close_idle_connections()
    health.close_connection()


class TestReadOnly:
    """PostgreSQL accepts no writes."""

    def test_readiness_is_503_with_the_state(self, read_only: None) -> None:
        response = Client().get("/readyz")
        assert (response.status_code, response.json()["database"]) == (503, "read-only")

    def test_a_write_is_unavailable_and_a_read_is_not(self, request: pytest.FixtureRequest) -> None:
        shopper = Shopper(UserFactory())
        request.getfixturevalue("read_only")
        charged = shopper.post("/api/balance/charge", {"amount": 1})
        assert charged.outcome == (503, "service_unavailable")
        assert charged.headers["Retry-After"] == "2"
        assert shopper.get("/api/users/orders").status == 200


@pytest.mark.parametrize(("part", "service"), [("redis", redis_services.locks), ("cache", redis_services.cache)])
def test_a_redis_without_writes_is_down(part: str, service: redis_services.RedisService, own_redis: Redis) -> None:
    assert Client().get("/readyz").json()[part] == "up"
    service.client.config_set("maxmemory", 1)
    response = Client().get("/readyz")
    assert (response.status_code, response.json()[part]) == (200, "down")
