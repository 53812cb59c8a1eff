"""F1: a web worker is killed by `kill -9`, at random and at every step of a write."""

import os
import signal

from tests.embedded.processes import is_alive
from tests.factories import CouponFactory
from tests.faults.burst import Ask, acknowledged, ask, cancel, charge, issue, key_of, order
from tests.faults.fault import Fault, NotFired, Run
from tests.faults.points import KILL
from tests.faults.shop import WEB_WORKERS, Variant

_RESPAWN_SECONDS = 20.0
_FIRST = "order.after-commit"
_STEPS = {
    "order": ("before-lock", "after-lock", "after-stock", "after-balance"),
    "charge": ("before-lock", "after-lock", "after-balance"),
    "issue": ("before-lock", "after-lock", "after-effect"),
    "cancel": ("before-lock", "after-lock", "after-effect"),
}
_LAST_STEPS = ("before-commit", "after-commit", "before-hand-over", "after-hand-over", "before-response")


class WorkerKilled(Fault):
    """The master starts another worker; the servers release the locks and rows of the dead one."""

    protection = "the answer is kept in the transaction of its effect"
    control_shows = "no call was acknowledged with it or may have left it"
    gap_seconds = (0.3, 1.0)

    def control(self) -> Variant:
        return Variant(patches=("tests.faults.weakened.answers_written_later",))


class WorkerKilledAtRandom(WorkerKilled):
    """Any worker at any time."""

    number = "F1a"
    title = "web worker kill -9, at random"
    gap_seconds = (0.3, 3.0)

    def strike(self, run: Run) -> str:
        wait_for_workers(run)
        pid = run.random.choice(run.shop.web.workers())
        os.kill(pid, signal.SIGKILL)
        if not run.wait_until(lambda: not is_alive(pid), seconds=5):
            raise NotFired(f"worker {pid} survived SIGKILL")
        return f"worker {pid} killed"


class WorkerKilledAtAStep(WorkerKilled):
    """The worker that has reached a given step of an order, charge, issue or cancellation: each step in turn."""

    number = "F1b"
    title = "web worker kill -9, at each step"

    def strike(self, run: Run) -> str:
        wait_for_workers(run)
        point = self._next(run)
        before = run.fired(point)
        write = _write(run, point.partition(".")[0])
        run.shop.points.arm(point, KILL)
        # The worker of our request is killed, unless a request of the load reaches the step first.
        ask(run, write)
        pid = run.wait_for_point(point, fired_before=before)
        if not run.wait_until(lambda: not is_alive(pid), seconds=5):
            raise NotFired(f"worker {pid} survived SIGKILL")
        return f"worker {pid} killed at {point}"

    def _next(self, run: Run) -> str:
        """A step that was not used in this run; first the one where an order is durable but not yet acknowledged."""
        points = [f"{kind}.{step}" for kind, steps in _STEPS.items() for step in (*steps, *_LAST_STEPS)]
        struck = {shot.what.rpartition(" ")[2] for shot in run.shots}
        left = [point for point in points if point not in struck] or points
        return _FIRST if _FIRST in left else run.random.choice(left)


def wait_for_workers(run: Run) -> None:
    """Wait until all workers are running. Raises NotFired."""
    if not run.wait_until(lambda: len(run.shop.web.workers()) >= WEB_WORKERS, seconds=_RESPAWN_SECONDS):
        raise NotFired(f"fewer than {WEB_WORKERS} workers live")


def _write(run: Run, kind: str) -> Ask:
    """A write of this kind that will succeed, by one of the load's customers."""
    user_id = run.random.choice(run.scene.users)
    key = key_of(run)
    if kind == "charge":
        return charge(user_id, run.random.randint(1, 5_000), key=key)
    if kind == "issue":
        return issue(user_id, CouponFactory(total_quantity=3).pk, key=key)
    basket = order(user_id, {run.random.choice(run.scene.products): 1}, key=key)
    if kind == "order":
        return basket
    bought = acknowledged(run, basket)
    return cancel(user_id, bought.json["id"], key=f"{key}-back")
