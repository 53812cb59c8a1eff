"""Observes group commits: counts their round trips, and pauses a transaction between reads and writes."""

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from unittest import mock

from commerce.core import redis_services
from commerce.core.group import Group
from commerce.core.pipeline import Pipeline, Statement
from tests.together import PATIENCE_SECONDS


@dataclass
class Trips:
    """The calls of the writes in a block: the statements of each round trip to PostgreSQL, and the number of calls to
    each Redis."""

    postgresql: list[list[str]] = field(default_factory=list)
    locks: int = 0
    cache: int = 0


@contextmanager
def round_trips() -> Iterator[Trips]:
    """Record the writes of all threads of this process."""
    trips = Trips()
    run, run_script = Pipeline.run, redis_services.RedisService.run_script

    def watched_run(self: Pipeline, statements: Sequence[Statement], *, deadline: float) -> Any:
        sent = list(statements)
        trips.postgresql.append([" ".join(statement.sql.split()) for statement in sent])
        return run(self, sent, deadline=deadline)

    def watched_script(self: redis_services.RedisService, *arguments: Any) -> Any:
        if self is redis_services.locks:
            trips.locks += 1
        else:
            trips.cache += 1
        return run_script(self, *arguments)

    with (
        mock.patch.object(Pipeline, "run", watched_run),
        mock.patch.object(redis_services.RedisService, "run_script", watched_script),
    ):
        yield trips


class Stopped:
    """A transaction that is paused between its reads and its writes."""

    def __init__(self) -> None:
        self._reached, self._go_on = threading.Event(), threading.Event()

    def wait(self) -> None:
        """Wait until the transaction is paused."""
        assert self._reached.wait(timeout=PATIENCE_SECONDS)

    def go_on(self) -> None:
        self._go_on.set()

    def _arrive(self) -> None:
        self._reached.set()
        assert self._go_on.wait(timeout=PATIENCE_SECONDS)


@contextmanager
def stopped_before_writing() -> Iterator[Stopped]:
    """Pause the next transaction when its writes are decided; later transactions are not paused."""
    stopped = Stopped()
    first = threading.Lock()
    decide = Group._decide

    def stop(self: Group) -> Any:
        decided = decide(self)
        if first.acquire(blocking=False):
            stopped._arrive()
        return decided

    with mock.patch.object(Group, "_decide", stop):
        try:
            yield stopped
        finally:
            stopped.go_on()


@contextmanager
def before_writing(act: Callable[[], object]) -> Iterator[None]:
    """Call `act` once, between the reads and the writes of the next transaction."""
    first = threading.Lock()
    decide = Group._decide

    def act_then_go_on(self: Group) -> Any:
        decided = decide(self)
        if first.acquire(blocking=False):
            act()
        return decided

    with mock.patch.object(Group, "_decide", act_then_go_on):
        yield
