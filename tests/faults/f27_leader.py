"""F27: the leader of a group is killed or paused, while it runs many writes of other requests."""

import threading

from tests.embedded.processes import is_alive
from tests.faults.f01_worker_killed import wait_for_workers
from tests.faults.f02_worker_paused import is_stopped
from tests.faults.fault import NotFired, Run
from tests.faults.groups import GroupFault, bursts_until, writes_of_all_kinds
from tests.faults.points import KILL, STOP
from tests.faults.seams import GROUP, GROUP_STEPS
from tests.faults.shop import Variant


class _AtEachStep(GroupFault):
    """Each step of a group in turn, beginning with `first`."""

    first: str

    def next_point(self, run: Run) -> str:
        """A step that was not used in this round."""
        round_so_far = run.shots[len(run.shots) // len(GROUP_STEPS) * len(GROUP_STEPS) :]
        struck = {shot.what.rpartition(".")[2] for shot in round_so_far}
        left = [step for step in GROUP_STEPS if step not in struck]
        return f"{GROUP}.{self.first if self.first in left else run.random.choice(left)}"


class LeaderKilled(_AtEachStep):
    """The whole group is lost or done, and no client got a response. Each retry has one effect and one response."""

    number = "F27a"
    title = "leader of a group kill -9, at each step"
    protection = "the answers of a group are kept in the transaction of its effects"
    control_shows = "no call was acknowledged with it or may have left it"
    first = "after-commit"

    def control(self) -> Variant:
        return self.without("tests.faults.weakened.answers_written_later")

    def strike(self, run: Run) -> str:
        wait_for_workers(run)
        point = self.next_point(run)
        before = run.fired(point)
        run.shop.points.arm(point, KILL)
        bursts_until(run, lambda: run.fired(point) > before, lambda: writes_of_all_kinds(run))
        pid = run.wait_for_point(point, fired_before=before)
        if not run.wait_until(lambda: not is_alive(pid), seconds=5):
            raise NotFired(f"worker {pid} survived SIGKILL")
        return f"worker {pid} killed as the leader of a group at {point}"


class LeaderPaused(_AtEachStep):
    """For longer than its Redis locks live. The other process continues; the group commits when it is resumed."""

    number = "F27b"
    in_short = False
    title = "leader of a group paused, at each step"
    protection = "the rows of a group are locked until COMMIT, and stock is added to what is there"
    control_shows = "invariant stock_is_its_movements broken"
    hold_seconds = (2.0, 3.0)
    first = "before-commit"
    _bursts: threading.Thread

    def control(self) -> Variant:
        return self.without("tests.faults.naive_shop.stock_from_memory")

    def strike(self, run: Run) -> str:
        wait_for_workers(run)
        point = self.next_point(run)
        before = run.fired(point)
        run.shop.points.arm(point, STOP)
        # The clients of the paused process get their responses when it continues.
        self._bursts = threading.Thread(
            target=bursts_until,
            args=(run, lambda: run.fired(point) > before, lambda: writes_of_all_kinds(run)),
            daemon=True,
        )
        self._bursts.start()
        pid = run.wait_for_point(point, fired_before=before)
        if not run.wait_until(lambda: is_stopped(pid), seconds=5):
            raise NotFired(f"worker {pid} goes on after SIGSTOP")
        return f"worker {pid} paused as the leader of a group at {point}"

    def heal(self, run: Run) -> None:
        run.shop.web.resume()
        self._bursts.join()

    def judge(self, run: Run) -> list[str]:
        # Not only orders, because the paused group may have locked most products.
        done = [call for call in run.history.calls if call.is_write and call.status == 200]
        return [
            f"nobody was served while: {shot.what}"
            for shot in run.shots
            if not any(shot.struck_at <= call.sent_at and (call.answered_at or 0.0) < shot.healed_at for call in done)
        ]
