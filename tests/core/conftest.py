"""Fixtures for tests of tasks: an event loop to run them in."""

import asyncio
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import uvloop
from django.db import connection, connections

from commerce.core.postgresql.base import separate_connections_of_tasks
from commerce.core.waiting import Tasks
from tests.together import PATIENCE_SECONDS

Job = Callable[[], object]
LOOPS = (asyncio.new_event_loop, uvloop.new_event_loop)


@pytest.fixture(params=LOOPS, ids=["asyncio", "uvloop"])
def run(request: pytest.FixtureRequest) -> Iterator[Callable[..., list[Any]]]:
    """Run jobs as tasks of one thread and return their results, or raise the first error."""
    loop: asyncio.AbstractEventLoop = request.param()

    def run_all(*jobs: Job) -> list[Any]:
        results: dict[int, Any] = {}
        done = asyncio.Event()

        def one(number: int, job: Job) -> None:
            try:
                results[number] = job()
            except Exception as error:  # noqa: BLE001  # raised below
                results[number] = error
            if len(results) == len(jobs):
                done.set()

        async def main() -> None:
            tasks = Tasks(asyncio.get_running_loop())
            for number, job in enumerate(jobs):
                tasks.run(lambda number=number, job=job: one(number, job))  # type: ignore[misc]
            await asyncio.wait_for(done.wait(), PATIENCE_SECONDS)

        loop.run_until_complete(main())
        for result in results.values():
            if isinstance(result, Exception):
                raise result
        return [results[number] for number in range(len(jobs))]

    yield run_all
    loop.run_until_complete(loop.shutdown_default_executor())
    loop.close()


@pytest.fixture
def connections_of_tasks(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Each task has its own `django.db.connection`, as in a web process, and closes it itself."""
    monkeypatch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "true")
    monkeypatch.setattr(connections, "_connections", connections._connections)  # type: ignore[attr-defined]
    separate_connections_of_tasks()
    yield
    connection.close()
