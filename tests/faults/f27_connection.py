"""F27: a group's connection is lost before, during or after its COMMIT."""

import threading

from tests.faults.burst import Ask
from tests.faults.fault import Run
from tests.faults.groups import GroupFault, bursts_until, writes_of_all_kinds
from tests.faults.history import Outcome
from tests.faults.points import sleep
from tests.faults.seams import GROUP, LARGE_GROUP
from tests.faults.shop import Variant

_HELD_UP_SECONDS = 0.3
_BYTES_OF_A_GROUP = 20_000
"""The minimum size of a large group's write, in bytes."""


class GroupConnectionLost(GroupFault):
    """The outcome is unknown, so its clients are asked to retry. A retry finds the effect or makes it."""

    number = "F27e"
    title = "connection of a group lost at COMMIT"
    protection = "the answers of a group are kept in the transaction of its effects"
    control_shows = "no call was acknowledged with it or may have left it"
    fewest_shots = 3

    def control(self) -> Variant:
        return self.without("tests.faults.weakened.answers_written_later")

    def strike(self, run: Run) -> str:
        ways = (_lose_the_answer, _cut_before, _cut_after)
        return ways[len(run.shots) % len(ways)](run)


def _lose_the_answer(run: Run) -> str:
    """PostgreSQL has committed, and the connection is lost before its answer."""
    proxy = run.shop.proxies["postgres"]
    lost = [0]

    def by_a_group() -> bool:
        lost[0] = sum(call.outcome is Outcome.UNKNOWN and call.sent_at >= began[-1] for call in run.history.calls)
        return lost[0] >= LARGE_GROUP

    def asks() -> list[Ask]:
        began.append(run.history.now())
        # Repeated if it was another transaction.
        proxy.lose_answer_to(b"COMMIT", bytes_at_least=_BYTES_OF_A_GROUP)
        return writes_of_all_kinds(run)

    began: list[float] = []
    bursts_until(run, by_a_group, asks)
    return f"answer to COMMIT lost, for {lost[0]} writes"


def _cut_before(run: Run) -> str:
    """The group has read its rows, and has sent no changes yet."""
    cut = _cut_at(run, f"{GROUP}.before-commit")
    return f"{cut} connections cut before COMMIT was sent, {LARGE_GROUP} writes or more on one of them"


def _cut_after(run: Run) -> str:
    """The group has received its answer; it does not need the connection any more."""
    cut = _cut_at(run, f"{GROUP}.after-commit")
    return f"{cut} connections cut after COMMIT was answered, {LARGE_GROUP} writes or more on one of them"


def _cut_at(run: Run, point: str) -> int:
    before = run.fired(point)
    run.shop.points.arm(point, sleep(_HELD_UP_SECONDS))
    bursts = threading.Thread(
        target=bursts_until,
        args=(run, lambda: run.fired(point) > before, lambda: writes_of_all_kinds(run)),
        daemon=True,
    )
    bursts.start()
    run.wait_for_point(point, fired_before=before)
    cut = run.shop.proxies["postgres"].cut()
    bursts.join()
    return cut
