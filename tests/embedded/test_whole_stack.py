"""`manage.py quickstart` from an empty folder: an order is placed, reported and counted, and nothing stays behind.

Knows the stack as a newcomer does: by its command, its run.json, its output and its web server.
"""

import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis
import requests

from tests.embedded.processes import is_alive, wait_for
from tests.embedded.stack import Stack
from tests.events import completed_id


@pytest.fixture
def stack(folder: Path) -> Iterator[Stack]:
    with Stack(folder) as running:
        yield running


def test_a_first_order_is_placed_reported_and_counted_and_nothing_stays_behind(stack: Stack) -> None:
    run = stack.run()
    web = run["web"]
    assert requests.get(f"{web}/readyz", timeout=10).json() == {
        "status": "ready",
        "database": "up",
        "redis": "up",
        "cache": "up",
        "kafka": "up",
    }
    assert f"{web}/api/docs" in stack.printed()
    with redis.from_url(run["redis_url"]) as client:
        assert client.ping() is True

    login = {"username": "customer1", "password": "customer"}
    token = requests.post(f"{web}/api/auth/token", json=login, timeout=10).json()["access"]
    order = requests.post(
        f"{web}/api/orders",
        json={"items": [{"productId": 1, "quantity": 2}]},
        headers={"Authorization": f"Bearer {token}"},
        timeout=10,
    )
    assert (order.status_code, order.json()["status"]) == (200, "COMPLETED")

    events = run["data_platform_url"].replace("/orders", "/events")
    key = completed_id(order.json())
    wait_for(lambda: key in {event["key"] for event in requests.get(events, timeout=10).json()["events"]})

    # Another terminal, without settings; exit code 0 says that every invariant holds.
    invariants = [sys.executable, "manage.py", "check_invariants"]
    subprocess.run(invariants, env=stack.environment, check=True, capture_output=True, timeout=60)  # noqa: S603 - ours

    everything = stack.descendants()
    assert len(everything) > 8
    assert stack.stop(signal.SIGTERM) == 0
    assert [pid for pid in everything if is_alive(pid)] == []
    assert not stack.run_file.exists()


def test_a_killed_stack_takes_everything_along(stack: Stack) -> None:
    everything = stack.descendants()
    assert len(everything) > 8

    stack.stop(signal.SIGKILL)

    wait_for(lambda: not any(is_alive(pid) for pid in everything))
