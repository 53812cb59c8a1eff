"""One process of the running shop that can be killed, paused, resumed and restarted.

Contains the signals. Only processes that the harness has started are affected.
"""

import os
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from commerce.embedded.children import Child
from commerce.embedded.errors import ChildFailed
from tests.embedded.processes import is_alive

READY_SECONDS = 60.0
SUPERVISOR_SECONDS = 0.2
"""The delay of `make run` before it restarts a crashed process."""


class Part:
    """A child process, the function that starts it, and the check whether it works.

    Start it from the main thread: the kernel ends a child with the thread that started it.
    """

    def __init__(self, child: Child, *, start: Callable[[], None], ready: Callable[[], bool]) -> None:
        self.child = child
        self._start = start
        self.ready = ready
        self._stays_down = False
        self._begin_again_at = 0.0

    @property
    def name(self) -> str:
        return self.child.name

    @property
    def pid(self) -> int:
        pid = self.child.pid
        assert pid is not None, f"{self.name} does not run"
        return pid

    @property
    def running(self) -> bool:
        """Whether it is running. A killed process is not, even if the kernel is still ending its threads."""
        return self.child.running and is_alive(self.pid)

    def start(self) -> None:
        """Start it and wait until it works. Raises ChildFailed."""
        self._stays_down = False
        self._start()
        self.child.wait_until_ready(self.ready, timeout_seconds=READY_SECONDS)

    def kill(self) -> None:
        """Kill it and its descendants (SIGKILL); it stays down until `start`."""
        self._stays_down = True
        self.child.kill()

    def look_after(self) -> bool:
        """Restart it without waiting if it has ended, as a supervisor does; returns whether it had."""
        if self.running or self._stays_down:
            return False
        if not self._begin_again_at:
            self._begin_again_at = time.monotonic() + SUPERVISOR_SECONDS
            return True
        if time.monotonic() >= self._begin_again_at:
            self._begin_again_at = 0.0
            self._start()
        return False

    def pause(self) -> None:
        """It neither answers nor refuses connections (SIGSTOP), like behind a network that drops packets."""
        os.kill(self.pid, signal.SIGSTOP)

    def resume(self) -> None:
        """It continues (SIGCONT)."""
        os.kill(self.pid, signal.SIGCONT)

    def stop(self) -> None:
        """Stop it gracefully, within its grace period; it stays down until `start`."""
        self._stays_down = True
        self.let_go()
        self.child.stop()

    def let_go(self) -> None:
        """Resume it if it is running, so that it can handle a signal."""
        if self.running:
            self.resume()

    def recover(self) -> None:
        """Make it work again, whatever its state."""
        if self.running:
            self.resume()
            # It may be about to stop: the master does so if its workers die too often.
            with suppress(ChildFailed):
                self.child.wait_until_ready(self.ready, timeout_seconds=READY_SECONDS)
        if not self.running:
            self.start()


class Web(Part):
    """The web server: a master and its workers, which write their process ids to a folder."""

    def __init__(self, child: Child, *, start: Callable[[], None], ready: Callable[[], bool], workers: Path) -> None:
        super().__init__(child, start=start, ready=ready)
        self._workers = workers

    def workers(self) -> list[int]:
        """The process ids of the running workers, paused ones included, in ascending order."""
        return sorted(int(entry.name) for entry in self._workers.iterdir() if is_alive(int(entry.name)))

    def resume(self) -> None:
        for pid in (self.pid, *self.workers()):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)
