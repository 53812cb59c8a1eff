"""Fixtures of the browser tests: a whole shop with demo data, and browser windows of staff in every role.

A test fails if its window has seen an error.
"""

import os
import tempfile
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from uuid import uuid4

import pytest
import requests
from playwright.sync_api import Browser, sync_playwright

from commerce.demo.staff import STAFF_PASSWORD
from tests.browser.chromium import OPTIONS, ChromiumUnavailable, chromium
from tests.browser.desk import Desk
from tests.embedded.stack import Stack

AtWork = Callable[..., Desk]
FAILED = pytest.StashKey[bool]()
"""Whether the test itself has failed."""
CUSTOMER = {"username": "customer7", "password": "customer"}


@pytest.fixture(scope="session")
def stack() -> Iterator[Stack]:
    folder = Path(tempfile.mkdtemp(dir=os.environ["LOCAL_DIR"]))
    with Stack(folder, LOGINS_PER_MINUTE="0", LOGIN_FAILURES_PER_MINUTE="0") as running:
        yield running


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    try:
        program = chromium()
    except ChromiumUnavailable as unavailable:
        pytest.exit(str(unavailable), returncode=1)
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=program, args=list(OPTIONS))
        yield running
        running.close()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Generator[None, object, object]:
    report = yield
    if isinstance(report, pytest.TestReport) and report.when == "call":
        item.stash[FAILED] = report.failed
    return report


@pytest.fixture
def at_work(request: pytest.FixtureRequest, stack: Stack, browser: Browser) -> Iterator[AtWork]:
    """A browser window of a logged-in member of staff: `admin` or a role of the demo data. Its errors fail the test."""
    desks: list[Desk] = []

    def begin(role: str, **window: object) -> Desk:
        desk = Desk(browser, stack.run()["web"], **window)  # type: ignore[arg-type]  # the window's own options
        desks.append(desk)
        desk.log_in(role, role if role == "admin" else STAFF_PASSWORD)
        return desk

    yield begin
    for desk in desks:
        if request.node.stash.get(FAILED, False):
            print(desk.shows())
        desk.close()
    assert [wrong for desk in desks for wrong in desk.wrong] == []


@pytest.fixture
def bought(stack: Stack) -> int:
    """Place an order as a customer; returns its number."""
    return buy(stack)


def buy(stack: Stack) -> int:
    """Place an order through the API, and return its number."""
    web = stack.run()["web"]
    token = requests.post(f"{web}/api/auth/token", json=CUSTOMER, timeout=10).json()["access"]
    headers = {"Authorization": f"Bearer {token}"}
    requests.post(f"{web}/api/balance/charge", json={"amount": 500_000}, headers=headers, timeout=10).raise_for_status()
    order = requests.post(
        f"{web}/api/orders",
        json={"items": [{"productId": 1, "quantity": 2}]},
        headers={**headers, "Idempotency-Key": f"tests-in-a-browser-{uuid4()}"},
        timeout=10,
    )
    order.raise_for_status()
    return int(order.json()["id"])
