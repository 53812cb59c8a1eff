"""`manage.py quickstart` from an empty folder: an order is placed, reported and counted, and no process remains.

Uses the stack like a new user: by its command, its run.json, its output and its web server.
"""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
import redis
import requests

from tests.embedded.processes import is_alive, wait_for
from tests.embedded.stack import Stack
from tests.events import completed_id


@pytest.fixture(scope="module")
def folder() -> Path:
    """Empty for the first test only: a later start finds existing data, and takes half as long."""
    return Path(tempfile.mkdtemp(dir=os.environ["LOCAL_DIR"]))


@pytest.fixture
def stack(folder: Path) -> Iterator[Stack]:
    with Stack(folder) as running:
        yield running


def take_the_tour(web: str, environment: dict[str, str], folder: Path) -> None:
    """Run the README's tour in a shell: each line returns JSON, and only the last one is a problem."""
    shell, curl = shutil.which("sh"), shutil.which("curl")
    if not (shell and curl):
        return
    [tour] = re.findall(r"## A tour with curl\n\n```sh\n(.*?)```", Path("README.md").read_text(), re.DOTALL)
    pasted = subprocess.run(  # noqa: S603 - our own README
        [shell, "-e"],
        input=tour.replace("http://127.0.0.1:8000", web),
        env=environment,
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    answers = [json.loads(line) for line in pasted.stdout.splitlines()]
    assert [answer["code"] for answer in answers if "code" in answer] == ["not_found"]
    assert answers[-2]["status"] == "CANCELLED"


def page_has(address: str, text: str) -> bool:
    return text in requests.get(address, timeout=10).text


def test_a_first_order_is_reported_and_counted_and_all_is_stopped(stack: Stack, tmp_path: Path) -> None:
    run = stack.run()
    web = run["web"]
    assert requests.get(f"{web}/readyz", timeout=10).json() == {
        "status": "ready",
        "database": "up",
        "redis": "up",
        "cache": "up",
        "kafka": "up",
    }
    # They are printed once run.json is there.
    wait_for(lambda: f"{web}/api/docs" in stack.printed())
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

    pages = {"web": f"{web}/metrics", **dict(re.findall(r"Metrics of +(\w+): (\S+)", stack.printed()))}
    for process, counter in (
        ("web", 'commerce_money_won_total{type="PAYMENT"}'),
        ("dispatcher", 'commerce_outbox_sent_total{destination="data-platform"}'),
        ("statistics", 'commerce_stats_events_total{outcome="counted"}'),
    ):
        wait_for(partial(page_has, pages[process], counter))

    # In another terminal, without settings; exit code 0 means that every invariant holds.
    invariants = [sys.executable, "manage.py", "check_invariants"]
    subprocess.run(invariants, env=stack.environment, check=True, capture_output=True, timeout=60)  # noqa: S603 - ours

    take_the_tour(web, stack.environment, tmp_path)

    everything = stack.descendants()
    assert len(everything) > 8
    assert stack.stop(signal.SIGTERM) == 0
    assert [pid for pid in everything if is_alive(pid)] == []
    assert not stack.run_file.exists()


def test_killing_the_stack_ends_all_processes(stack: Stack) -> None:
    everything = stack.descendants()
    assert len(everything) > 8

    stack.stop(signal.SIGKILL)

    wait_for(lambda: not any(is_alive(pid) for pid in everything))
