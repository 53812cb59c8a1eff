"""Fixtures: a shop with everything that Prometheus counts, and a Prometheus that has scraped it meanwhile."""

import os
import re
import signal
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest
import requests

from tests.dashboard.prometheus import Prometheus, prometheus_of
from tests.embedded.processes import wait_for
from tests.embedded.stack import Stack

SECONDS = 20
"""How long the shop is used; every rate covers all of it."""
ALLOWED_LOGINS = 3
CUSTOMER = {"username": "customer7", "password": "customer"}
METRICS = {"commerce-relay": "dispatcher", "commerce-consumer": "statistics"}
CALL_THE_WEBHOOK = "UPDATE webhook_subscription SET next_call_at = now()"


class Customer:
    """A customer of the running shop."""

    def __init__(self, web: str) -> None:
        self._web = web
        self._session = requests.Session()
        token = self.post("/api/auth/token", CUSTOMER).json()["access"]
        self._session.headers["Authorization"] = f"Bearer {token}"

    def post(self, path: str, body: object) -> requests.Response:
        headers = {"Idempotency-Key": str(uuid4())}
        return self._session.post(f"{self._web}{path}", json=body, headers=headers, timeout=15)

    def get(self, path: str) -> requests.Response:
        return self._session.get(f"{self._web}{path}", timeout=15)

    def shop(self) -> None:
        """One of each: reads, writes of every kind, and refusals."""
        self.get("/api/products")
        self.get("/api/products/popular")
        self.get("/api/users/balance")
        self.post("/api/balance/charge", {"amount": 100_000})
        order = self.post("/api/orders", {"items": [{"productId": 1, "quantity": 1}]})
        assert order.status_code == 200, order.text
        self.post(f"/api/orders/{order.json()['id']}/cancel", {})
        self.post("/api/orders", {"items": [{"productId": 13, "quantity": 1}]})


@pytest.fixture(scope="session")
def prometheus() -> Iterator[Prometheus]:
    """It has scraped the shop for `SECONDS` of use, in which Redis was away once and a webhook failed."""
    with ExitStack() as running:
        folder = Path(tempfile.mkdtemp(dir=os.environ["LOCAL_DIR"]))
        stack = running.enter_context(Stack(folder, LOGINS_PER_MINUTE=str(ALLOWED_LOGINS)))
        web = stack.run()["web"]
        wait_for(lambda: "The shop is open." in stack.printed())
        jobs = {"commerce-web": web.removeprefix("http://")}
        for job, name in METRICS.items():
            found = re.search(rf"{name}: http://(\S+)/metrics", stack.printed())
            assert found is not None, stack.printed()
            jobs[job] = found[1]
        scraping = running.enter_context(prometheus_of(folder, jobs))
        customer = Customer(web)
        until = time.monotonic() + SECONDS
        customer.shop()
        for _ in range(ALLOWED_LOGINS):
            customer.post("/api/auth/token", {**CUSTOMER, "password": "wrong"})
        with psycopg.connect(stack.run()["database_url"]) as database:
            database.execute(CALL_THE_WEBHOOK)
        _without_redis(stack, customer)
        while time.monotonic() < until:
            customer.shop()
        wait_for(lambda: scraping.query("commerce_books_hold", seconds=1) != [])
        yield scraping


def _without_redis(stack: Stack, customer: Customer) -> None:
    """A cached page and a write while Redis does not answer."""
    pids = [pid for pid in stack.descendants() if b"redis-server" in Path(f"/proc/{pid}/cmdline").read_bytes()]
    assert pids
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        customer.get("/api/products")
        customer.post("/api/balance/charge", {"amount": 100_000})
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)
