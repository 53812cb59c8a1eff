"""`manage.py quickstart` from an empty folder: an order is placed, reported and counted, and nothing stays behind.

Knows the stack as a newcomer does: by its command, its run.json, its output and its web server.
"""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
import requests

from commerce.embedded.ports import free_port
from tests.embedded.processes import is_alive, wait_for
from tests.embedded.test_quickstart import NOT_GIVEN

START_SECONDS = 120.0


class Stack:
    """The command as somebody without any settings types it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        bare = {name: value for name, value in os.environ.items() if name not in {*NOT_GIVEN, "LOCK_REDIS_URL"}}
        self.environment = {**bare, "LOCAL_DIR": str(folder), "PORT": str(free_port())}
        self.output = (folder.parent / f"{folder.name}.output").open("w+")
        self.process = subprocess.Popen(
            [sys.executable, "manage.py", "quickstart"],
            env=self.environment,
            stdout=self.output,
            stderr=subprocess.STDOUT,
        )
        wait_for(lambda: self.run_file.exists() or self.process.poll() is not None, limit_seconds=START_SECONDS)
        assert self.process.poll() is None, self.printed()

    @property
    def run_file(self) -> Path:
        return self.folder / "run.json"

    def run(self) -> dict[str, Any]:
        return dict(json.loads(self.run_file.read_text()))

    def printed(self) -> str:
        self.output.seek(0)
        return self.output.read()

    def descendants(self) -> set[int]:
        """The ids of all processes that the stack has started, workers of workers included."""
        parents = {}
        for entry in Path("/proc").glob("[0-9]*/stat"):
            try:
                parents[int(entry.parent.name)] = int(entry.read_text().rsplit(")", 1)[1].split()[1])
            except FileNotFoundError:
                continue
        found = {self.process.pid}
        while more := {pid for pid, parent in parents.items() if parent in found} - found:
            found |= more
        return found

    def stop(self, number: signal.Signals) -> int:
        self.process.send_signal(number)
        return self.process.wait(timeout=60)


@pytest.fixture
def stack(folder: Path) -> Iterator[Stack]:
    running = Stack(folder)
    yield running
    if running.process.poll() is None:
        running.stop(signal.SIGTERM)
    running.output.close()


def test_a_first_order_is_placed_reported_and_counted_and_nothing_stays_behind(stack: Stack) -> None:
    run = stack.run()
    web = run["web"]
    assert requests.get(f"{web}/readyz", timeout=10).json() == {
        "status": "ready",
        "database": "up",
        "redis": "up",
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
    key = f"order-completed:{order.json()['id']}"
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
