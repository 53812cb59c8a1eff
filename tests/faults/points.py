"""Failpoints: named points in the shop's processes at which the harness triggers an action once.

Contains the folder in which they are armed. A trigger is a file, named after its point, its action and a number; the
process that claims the number executes the action, so exactly one does. The product does not import this module.
"""

import os
import signal
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path

from commerce.core import waiting

KILL = "kill"
STOP = "stop"
RAISE = "raise"
_CLAIMS = "claims"


def sleep(seconds: float) -> str:
    """The action of sleeping at the point."""
    return f"sleep={seconds}"


class Injected(RuntimeError):
    """Raised at a failpoint: for the shop it looks like a bug."""


@dataclass(frozen=True)
class Firing:
    """A point that was reached while it was armed: the action, and the process."""

    point: str
    action: str
    pid: int


class Points:
    """The harness's side: arms points and reads which ones were reached."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._fired = folder / "fired"
        self._fired.mkdir(parents=True)
        (folder / _CLAIMS).mkdir()
        self._numbers = count(1)

    def arm(self, point: str, action: str, *, times: int = 1) -> None:
        """Trigger `action` in the next `times` processes that reach `point`, such as `order.after-stock`."""
        for _ in range(times):
            self.arm_first_of([point], action)

    def arm_first_of(self, points: Sequence[str], action: str) -> None:
        """Trigger `action` in one process: the first that reaches any of these points."""
        number = next(self._numbers)
        for point in points:
            (self.folder / f"{point}~{action}~{number}").touch()

    def disarm(self) -> None:
        """Trigger nothing any more."""
        for trigger in self.folder.glob("*~*"):
            trigger.unlink(missing_ok=True)

    def fired(self) -> list[Firing]:
        """All executed actions, in the order of arming."""
        found = []
        for path in sorted(self._fired.iterdir(), key=lambda each: int(each.name.split("~")[2])):
            point, action, _, pid = path.name.split("~")
            found.append(Firing(point, action, int(pid)))
        return found


def reach(folder: str, point: str) -> None:
    """The process's side: execute the action that is armed at `point`, if any."""
    for name in os.listdir(folder):  # noqa: PTH208 - called often, and this is the cheapest way
        if not name.startswith(f"{point}~"):
            continue
        _point, action, number = name.split("~")
        try:
            Path(folder, _CLAIMS, number).mkdir()
            Path(folder, name).rename(Path(folder, "fired", f"{name}~{os.getpid()}"))
        except (FileExistsError, FileNotFoundError):
            # Another process was faster, or the point has just been disarmed.
            continue
        _happen(action)


def _happen(action: str) -> None:
    if action == KILL:
        os.kill(os.getpid(), signal.SIGKILL)
    elif action == STOP:
        os.kill(os.getpid(), signal.SIGSTOP)
    elif action == RAISE:
        raise Injected("A failpoint was armed here.")
    else:
        # Other threads of the process continue.
        waiting.sleep(float(action.removeprefix("sleep=")))
