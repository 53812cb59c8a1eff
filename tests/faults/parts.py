"""One part of the running shop that can be killed, paused, resumed and started again by its process id.

Owns the signals; never touches a process that the harness did not start.
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
"""How long `make run` waits before it starts again what has crashed."""


class Part:
    """A child process with its way to start and its way to tell that it works.

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
        """Whether it runs. One that was killed does not, though the kernel is still ending its threads."""
        return self.child.running and is_alive(self.pid)

    def start(self) -> None:
        """Start it; return when it works. Raises ChildFailed."""
        self._stays_down = False
        self._start()
        self.child.wait_until_ready(self.ready, timeout_seconds=READY_SECONDS)

    def kill(self) -> None:
        """It is gone in the middle of whatever it did (SIGKILL), with all it started, until `start`."""
        self._stays_down = True
        self.child.kill()

    def look_after(self) -> bool:
        """Start it again, without waiting, where it has ended by itself: what a supervisor does. Whether it had."""
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
        """It neither answers nor refuses (SIGSTOP), as behind a network that swallows packets."""
        os.kill(self.pid, signal.SIGSTOP)

    def resume(self) -> None:
        """It goes on where it was (SIGCONT)."""
        os.kill(self.pid, signal.SIGCONT)

    def stop(self) -> None:
        """End it in good order, its grace at most; it stays down until `start`."""
        self._stays_down = True
        self.let_go()
        self.child.stop()

    def let_go(self) -> None:
        """Resume it if it runs, so that it can hear a signal."""
        if self.running:
            self.resume()

    def recover(self) -> None:
        """Whatever was done to it, it works again."""
        if self.running:
            self.resume()
            # It may be about to end: a master does when its workers die too often.
            with suppress(ChildFailed):
                self.child.wait_until_ready(self.ready, timeout_seconds=READY_SECONDS)
        if not self.running:
            self.start()


class Web(Part):
    """The web server: a master and its workers, which leave their process ids in a folder."""

    def __init__(self, child: Child, *, start: Callable[[], None], ready: Callable[[], bool], workers: Path) -> None:
        super().__init__(child, start=start, ready=ready)
        self._workers = workers

    def workers(self) -> list[int]:
        """The process ids of the workers that live, paused ones included, in ascending order."""
        return sorted(int(entry.name) for entry in self._workers.iterdir() if is_alive(int(entry.name)))

    def resume(self) -> None:
        for pid in (self.pid, *self.workers()):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)
