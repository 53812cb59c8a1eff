"""Supervises child processes: starts them in order, restarts crashed ones, stops all in reverse order.

A process that crashes too often stops the stack with an error.
"""

import os
import signal
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from types import FrameType

from commerce.embedded.children import Child, Pause, describe, tail
from commerce.embedded.console import say
from commerce.embedded.errors import ChildFailed, GaveUp

MAX_CRASHES = 5
CRASH_WINDOW_SECONDS = 60.0
FIRST_BACKOFF_SECONDS = 0.2
_POLL_SECONDS = 0.1
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class StopRequested(Exception):
    """Ctrl-C, SIGTERM, a closed terminal or the end of `make` requested a stop."""


def _nothing() -> None:
    return None


@dataclass(kw_only=True)
class Service:
    """One supervised process.

    Attributes:
        start: starts it and returns when it is ready, using the given pause.
        restart: starts it again after a crash.
        restarted: runs after a restart, for example to publish a new address.
    """

    child: Child
    start: Callable[[Pause], None]
    restart: Callable[[], None]
    restarted: Callable[[], None] = _nothing
    _crashed_at: deque[float] = field(default_factory=deque)
    _start_again_at: float | None = None

    def note_crash(self, now: float) -> float:
        """Record a crash; returns the seconds to wait before the next start.

        Raises:
            GaveUp: there were too many crashes.
        """
        self._crashed_at.append(now)
        while self._crashed_at[0] < now - CRASH_WINDOW_SECONDS:
            self._crashed_at.popleft()
        crashes = len(self._crashed_at)
        if crashes >= MAX_CRASHES:
            log_path = self.child.spec.log_path
            raise GaveUp(
                self.child.name,
                crashes=crashes,
                seconds=CRASH_WINDOW_SECONDS,
                log_path=log_path,
                log_tail=tail(log_path),
            )
        backoff_seconds = FIRST_BACKOFF_SECONDS * 2.0 ** (crashes - 1)
        self._start_again_at = now + backoff_seconds
        return backoff_seconds

    def is_due(self, now: float) -> bool:
        """Whether it has crashed and its waiting time is over."""
        return self._start_again_at is not None and now >= self._start_again_at

    @property
    def is_waiting(self) -> bool:
        """Whether it has crashed and will be started again."""
        return self._start_again_at is not None

    def start_again(self) -> None:
        """Restart it without waiting until it is ready, and run `restarted`."""
        self._start_again_at = None
        self.restart()
        self.restarted()


class Supervisor:
    """Must be used in the main thread: the kernel ends the children when the thread that started them ends."""

    def __init__(self, *, ends_with_parent: bool = False) -> None:
        """`ends_with_parent`: stop when the parent process has died in any way."""
        self._parent = os.getppid() if ends_with_parent else None
        self._services: list[Service] = []
        self._stop_requested = False

    def listen_for_signals(self) -> None:
        """Make stop signals end the next pause instead of the process."""
        for number in _SIGNALS:
            signal.signal(number, self._note_signal)

    def pause(self, seconds: float) -> None:
        """Sleep. All waits of the stack use this method.

        Raises:
            StopRequested: a stop signal was received, or the parent has died.
        """
        if not self._stop_requested:
            time.sleep(seconds)
        if self._stop_requested or self._parent not in (None, os.getppid()):
            raise StopRequested

    def run(self, service: Service) -> None:
        """Start a service, wait until it is ready, and supervise it from then on."""
        self._services.append(service)
        service.start(self.pause)

    def watch(self) -> None:
        """Keep everything running until a stop signal.

        Raises:
            StopRequested: the signal was received.
            GaveUp: a service ended five times within a minute.
        """
        while True:
            self.pause(_POLL_SECONDS)
            for service in self._services:
                self._look_after(service, time.monotonic())

    def stop(self) -> None:
        """Stop all services in reverse order. Stop signals are ignored meanwhile."""
        for number in _SIGNALS:
            signal.signal(number, signal.SIG_IGN)
        for service in reversed(self._services):
            service.child.stop()
        self._services.clear()

    def _look_after(self, service: Service, now: float) -> None:
        if service.is_due(now):
            try:
                service.start_again()
            except ChildFailed as error:
                say(str(error))
        elif not service.child.running and not service.is_waiting:
            ending = describe(service.child.exit_code)
            backoff_seconds = service.note_crash(now)
            say(f"{service.child.name} ended ({ending}); starting it again in {backoff_seconds:.1f} s")

    def _note_signal(self, _number: int, _frame: FrameType | None) -> None:
        self._stop_requested = True
