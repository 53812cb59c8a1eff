"""Holds the queue of this process while writes arrive, so that they share the next transaction."""

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeVar

from commerce.core import group_commit
from commerce.core.group_commit import commit
from commerce.core.transaction import Transaction
from tests.layers import ONE_LEADER, switched_off
from tests.together import PATIENCE_SECONDS, meanwhile, wait_until

T = TypeVar("T")


def _nothing(transaction: Transaction) -> None:
    """The default of the methods that a test does not pass."""


@dataclass(frozen=True)
class Parts:
    """A write whose methods are passed as functions."""

    decide: Callable[[Transaction], Any] = _nothing
    load: Callable[[Transaction], None] = _nothing
    keys: Sequence[str] = ()

    def locks(self) -> Sequence[str]:
        return self.keys


@dataclass
class Gate:
    """Blocks the running group after its COMMIT until it is opened. Writes that arrive meanwhile wait."""

    _reached: threading.Event = field(default_factory=threading.Event)
    _opened: threading.Event = field(default_factory=threading.Event)

    def open(self) -> None:
        self._opened.set()

    def wait_for_it(self) -> None:
        """Wait until the group is blocked."""
        assert self._reached.wait(timeout=PATIENCE_SECONDS)

    def decide(self, transaction: Transaction) -> None:
        """The `decide` of the write whose group is blocked."""
        transaction.on_committed(self._hold)

    def _hold(self) -> None:
        self._reached.set()
        assert self._opened.wait(timeout=PATIENCE_SECONDS)


@contextmanager
def busy_queue() -> Iterator[Gate]:
    """Block a group as long as the gate of the block is closed."""
    gate = Gate()
    with meanwhile(lambda: commit(Parts(gate.decide))) as first:
        gate.wait_for_it()
        try:
            yield gate
        finally:
            gate.open()
            first.result(timeout=PATIENCE_SECONDS)


def waiting() -> int:
    """The number of waiting writes in the queue of this process."""
    return len(group_commit._queue._waiting)


def _has_arrived(future: "Future[Any]", number: int) -> bool:
    if future.done():
        raise AssertionError(f"The write is done without having waited: {future.result()!r}")
    return waiting() == number


@contextmanager
def arrived(actions: Sequence[Callable[[], T]]) -> Iterator[tuple[Gate, list["Future[T]"]]]:
    """The actions, one write each, wait in this order; they run together when the gate is opened."""
    with switched_off(ONE_LEADER), ExitStack() as stack:
        gate = stack.enter_context(busy_queue())
        futures = []
        for number, action in enumerate(actions, start=1):
            futures.append(stack.enter_context(meanwhile(action)))
            wait_until(partial(_has_arrived, futures[-1], number), f"{number} writes to wait")
        stack.callback(gate.open)
        yield gate, futures


def in_one_group(actions: Sequence[Callable[[], T]]) -> list[T]:
    """The results of the actions, whose writes share a transaction, in order of arrival."""
    with arrived(actions) as (gate, futures):
        gate.open()
        return [future.result(timeout=PATIENCE_SECONDS) for future in futures]
