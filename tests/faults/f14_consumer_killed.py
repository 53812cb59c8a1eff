"""F14: the statistics consumer dies in the middle of a batch, between database and offset, and in a rebalance."""

from stats import operations
from tests.embedded.processes import is_alive
from tests.faults.fault import Fault, NotFired, Run
from tests.faults.points import KILL
from tests.faults.shop import Variant

_FIRST = "consumer.after-count"
_STEPS = (_FIRST, "consumer.inside-count", "consumer.before-count")


class ConsumerKilled(Fault):
    """Another consumer gets its batch again and skips counted events.

    Orders are not affected. Statistics are late by some seconds, until the session of the dead member expires.
    """

    number = "F14a"
    title = "consumer kill -9, at each step"
    protection = "an event that has been counted is not counted again"
    control_shows = "invariant statistics_are_counted_orders broken"
    gap_seconds = (0.2, 0.6)
    sells_on = True
    slowest_order_seconds = 3.0
    patience_seconds = 30.0

    def control(self) -> Variant:
        return Variant(patches=("tests.faults.f14_consumer_killed.count_again",))

    def strike(self, run: Run) -> str:
        struck = {shot.what.rpartition(" ")[2] for shot in run.shots}
        left = [point for point in _STEPS if point not in struck] or _STEPS
        return _killed_at(run, _FIRST if _FIRST in left else run.random.choice(left))


class ConsumerKilledInARebalance(ConsumerKilled):
    """A second consumer joins, so partitions are reassigned: the first dies with a batch, or the second meanwhile."""

    number = "F14b"
    title = "consumer kill -9 in a rebalance"
    most_shots = 10
    in_short = False

    def strike(self, run: Run) -> str:
        self._second = run.shop.another("consumer", "consume_orders", ready_line="Counting")
        self._second.start()
        # It is joining the group. The consumer that gets the next batch dies during the rebalance.
        return _killed_at(run, run.random.choice(_STEPS) if run.shots else _FIRST)

    def heal(self, run: Run) -> None:
        self._second.stop()


def _killed_at(run: Run, point: str) -> str:
    before = run.fired(point)
    run.shop.points.arm(point, KILL)
    pid = run.wait_for_point(point, fired_before=before, seconds=20)
    if not run.wait_until(lambda: not is_alive(pid), seconds=5):
        raise NotFired(f"consumer {pid} survived SIGKILL")
    return f"consumer {pid} killed at {point}"


def count_again() -> None:
    """An event is recorded when it is counted, without a check whether it was recorded before."""
    operations.RECORD_EVENTS = operations.RECORD_EVENTS.replace(
        "DO NOTHING", "(event_id) DO UPDATE SET event_id = EXCLUDED.event_id"
    )
