"""Failpoints: named places in the shop's processes where the harness lets something happen, once.

Owns the folder in which they are armed. A trigger is a file; the process that renames it is the one it happens to, so
exactly one does. Nothing here is imported by the product.
"""

import os
import signal
from dataclasses import dataclass
from itertools import count
from pathlib import Path

from commerce.core import waiting

KILL = "kill"
STOP = "stop"
RAISE = "raise"


def sleep(seconds: float) -> str:
    """The action of waiting so long at the point."""
    return f"sleep={seconds}"


class Injected(RuntimeError):
    """Raised at a failpoint: a defect of ours, as far as the shop can tell."""


@dataclass(frozen=True)
class Firing:
    """A point that was reached while it was armed: what happened there, and to which process."""

    point: str
    action: str
    pid: int


class Points:
    """The harness's side: arming, and seeing what fired."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._fired = folder / "fired"
        self._fired.mkdir(parents=True)
        self._numbers = count(1)

    def arm(self, point: str, action: str, *, times: int = 1) -> None:
        """Let `action` happen to the next `times` processes that reach `point`, such as `order.after-stock`."""
        for _ in range(times):
            (self.folder / f"{point}~{action}~{next(self._numbers)}").touch()

    def disarm(self) -> None:
        """Nothing happens any more."""
        for trigger in self.folder.glob("*~*"):
            trigger.unlink(missing_ok=True)

    def fired(self) -> list[Firing]:
        """Everything that has happened so far, in the order of arming."""
        found = []
        for path in sorted(self._fired.iterdir(), key=lambda each: int(each.name.split("~")[2])):
            point, action, _, pid = path.name.split("~")
            found.append(Firing(point, action, int(pid)))
        return found


def reach(folder: str, point: str) -> None:
    """The process's side: it stands at `point`; whatever is armed there happens to it."""
    for name in os.listdir(folder):  # noqa: PTH208 - called often, and this is the cheapest way
        if not name.startswith(f"{point}~"):
            continue
        try:
            Path(folder, name).rename(Path(folder, "fired", f"{name}~{os.getpid()}"))
        except FileNotFoundError:
            # Another process was quicker.
            continue
        _happen(name.split("~")[1])


def _happen(action: str) -> None:
    if action == KILL:
        os.kill(os.getpid(), signal.SIGKILL)
    elif action == STOP:
        os.kill(os.getpid(), signal.SIGSTOP)
    elif action == RAISE:
        raise Injected("A failpoint was armed here.")
    else:
        # What else the process does, goes on.
        waiting.sleep(float(action.removeprefix("sleep=")))
