"""Redis Sentinel: during a failover no write is wrong or lost."""

import threading
from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path

import pytest
from django.test import Client
from pytest_django import Settings

from balances.models import LedgerEntry, User
from commerce.core import redis_services
from commerce.core.redis_urls import beside, read_address
from tests.factories import UserFactory
from tests.poolers.sentinels import Servers, sentinels
from tests.shopper import Shopper
from tests.together import meanwhile, wait_until

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def servers(tmp_path: Path, settings: Settings) -> Iterator[Servers]:
    with sentinels(tmp_path) as running:
        caches = deepcopy(settings.CACHES)
        for alias, url in (("default", running.url), ("locks", beside("REDIS_URL", running.url))):
            address = read_address("REDIS_URL", url)
            caches[alias]["LOCATION"] = address.location
            caches[alias]["OPTIONS"].update(address.options())
        settings.CACHES = caches
        yield running


def test_a_fail_over_under_load_costs_no_write(servers: Servers, settings: Settings) -> None:
    settings.REDIS_PAUSE_SECONDS = 0.2
    user = UserFactory()
    stopping, outcomes = threading.Event(), []

    def charge() -> None:
        shopper = Shopper(user)
        while not stopping.is_set():
            outcomes.append(shopper.post("/api/balance/charge", {"amount": 1}).outcome)

    assert redis_services.locks.call(lambda client: client.set("before", 1))
    with meanwhile(charge) as charging:
        wait_until(lambda: len(outcomes) > 5, "the first charges")
        servers.kill_the_primary()
        ready = Client()
        wait_until(lambda: ready.get("/readyz").json()["redis"] == "up", "the new primary to be used")
        seen = len(outcomes)
        wait_until(lambda: len(outcomes) > seen + 5, "charges after it")
        stopping.set()
        charging.result()
    assert set(outcomes) == {(200, None)}
    assert User.objects.get(pk=user.pk).balance == len(outcomes) == LedgerEntry.objects.filter(user=user).count()
    # Cache and locks have separate connections, each replaced at its next use.
    wait_until(lambda: ready.get("/readyz").json()["cache"] == "up", "the cache to use the new primary")
