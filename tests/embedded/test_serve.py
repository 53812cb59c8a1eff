"""`python -m commerce.serve`: requests and connections while the web server stops."""

import http.client
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from functools import partial
from pathlib import Path

import pytest

from commerce.embedded.children import Child, ChildSpec
from commerce.embedded.ports import LOOPBACK, free_port
from tests.embedded.processes import wait_for

LONG_SECONDS = 600
WITHIN_SECONDS = 60.0

Start = Callable[..., "tuple[Child, int]"]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Start a server that takes `ending_seconds` to stop, and stop it after the test."""
    started: list[Child] = []

    def begin(*, ending_seconds: int, workers: int = 1) -> tuple[Child, int]:
        port = free_port()
        command = [
            *(sys.executable, "-m", "commerce.serve"),
            *("--host", LOOPBACK, "--port", str(port), "--workers", str(workers)),
        ]
        server = Child(ChildSpec(name="web", command=command, log_path=tmp_path / "web.log"))
        started.append(server)
        server.start(
            {
                **os.environ,
                "DJANGO_SETTINGS_MODULE": "commerce.settings",
                "WEB_ENDING_SECONDS": str(ending_seconds),
                "TMPDIR": str(tmp_path),
            }
        )
        server.wait_until_ready(lambda: answers(port), timeout_seconds=WITHIN_SECONDS)
        return server, port

    yield begin
    for server in started:
        server.kill()


def answers(port: int) -> bool:
    """Whether a worker serves; before that, it would miss the stop signal."""
    try:
        with closing(connect(port)) as connection:
            return ask(connection) == (200, None)
    except (OSError, http.client.HTTPException):
        return False


def connect(port: int) -> http.client.HTTPConnection:
    return http.client.HTTPConnection(LOOPBACK, port, timeout=WITHIN_SECONDS)


def ask(connection: http.client.HTTPConnection) -> tuple[int, str | None]:
    """The status of `/livez`, and the `Connection` header."""
    connection.request("GET", "/livez")
    answer = connection.getresponse()
    answer.read()
    return answer.status, answer.headers["Connection"]


def workers_of(server: Child) -> list[int]:
    """The process ids of the workers; an old one that is still ending may be among them."""
    workers = []
    for children in Path(f"/proc/{server.pid}/task").glob("*/children"):
        for pid in map(int, children.read_text().split()):
            with suppress(FileNotFoundError, ProcessLookupError):
                command = Path(f"/proc/{pid}/cmdline").read_bytes()
                if command and b"resource_tracker" not in command:
                    workers.append(pid)
    return workers


def only_worker(server: Child) -> int | None:
    """The process id of the worker; None if there is none, or while an old one is still ending."""
    workers = workers_of(server)
    return workers[0] if len(workers) == 1 else None


def is_replaced(server: Child, dead: int) -> bool:
    return only_worker(server) not in (None, dead)


def end(server: Child) -> None:
    assert server.pid is not None
    os.kill(server.pid, signal.SIGTERM)


def test_on_sigterm_it_keeps_serving_and_closes_connections(start: Start, tmp_path: Path) -> None:
    server, port = start(ending_seconds=LONG_SECONDS)
    with closing(connect(port)) as kept, closing(connect(port)) as newcomer:
        assert ask(kept) == (200, None)
        end(server)
        wait_for(lambda: any(tmp_path.glob("commerce-web-*/ending")), limit_seconds=WITHIN_SECONDS)
        assert ask(kept) == (200, "close")
        assert ask(newcomer) == (200, "close")
    assert server.running


def test_a_second_signal_ends_it_at_once(start: Start, tmp_path: Path) -> None:
    server, _ = start(ending_seconds=LONG_SECONDS)
    end(server)
    wait_for(lambda: any(tmp_path.glob("commerce-web-*/ending")), limit_seconds=WITHIN_SECONDS)
    end(server)
    wait_for(lambda: not server.running, limit_seconds=WITHIN_SECONDS)
    assert server.exit_code == 0
    assert list(tmp_path.glob("commerce-web-*")) == []


def test_without_an_ending_time_it_ends_at_once(start: Start) -> None:
    server, _ = start(ending_seconds=0)
    end(server)
    wait_for(lambda: not server.running, limit_seconds=WITHIN_SECONDS)
    assert server.exit_code == 0


def test_a_port_in_use_is_reported_and_not_shared(start: Start) -> None:
    _, port = start(ending_seconds=0)
    command = [sys.executable, "-m", "commerce.serve", "--port", str(port)]
    second = subprocess.run(  # noqa: S603 - ours
        command, check=False, capture_output=True, text=True, timeout=WITHIN_SECONDS
    )
    assert second.returncode != 0
    assert "address already in use" in second.stderr.lower()


def test_workers_that_die_early_are_replaced(start: Start) -> None:
    server, port = start(ending_seconds=0)
    for _ in range(3):
        worker = only_worker(server)
        assert worker is not None
        os.kill(worker, signal.SIGKILL)
        wait_for(partial(is_replaced, server, worker), limit_seconds=WITHIN_SECONDS)
        wait_for(lambda: answers(port), limit_seconds=WITHIN_SECONDS)
    assert server.running


def test_a_server_whose_workers_keep_dying_ends(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    # Several, because the server looks for dead workers twice a second.
    server, _ = start(ending_seconds=0, workers=4)

    def killed_again() -> bool:
        for worker in workers_of(server):
            with suppress(ProcessLookupError):
                os.kill(worker, signal.SIGKILL)
        return not server.running

    wait_for(killed_again, limit_seconds=WITHIN_SECONDS)
    assert server.exit_code != 0
