"""F21: statistics are recomputed, killed half-way and run twice more, while orders are placed and events processed."""

import json
import subprocess
import time
from datetime import date, timedelta

from django.utils import timezone

from commerce.core import sql
from commerce.embedded.children import PROJECT_ROOT
from stats import operations
from stats.operations import DayComparison
from tests.embedded.processes import is_alive
from tests.faults.deliveries import sells_and_counts
from tests.faults.entry import ROLE, faulty_manage
from tests.faults.fault import Fault, NotFired, Run
from tests.faults.history import Outcome
from tests.faults.points import KILL, sleep
from tests.faults.quiet import under_way
from tests.faults.shop import Variant

_INSIDE = "backfill.inside-day"
_ENDS_WITHIN_SECONDS = 60.0
_UNDER_WAY_SECONDS = 15.0
_OPEN_SECONDS = 3.0
_SETTLING_SECONDS = 0.3


class _Backfill(Fault):
    gap_seconds = (0.2, 0.5)
    sells_on = True
    slowest_order_seconds = 3.0
    patience_seconds = 30.0
    most_shots = 10

    def is_well(self, run: Run) -> bool:
        return sells_and_counts(run)

    def judge(self, run: Run) -> list[str]:
        """The command must report that a backfill would correct nothing more."""
        try:
            run.shop.manage("backfill_product_stats", *_days(), "--dry-run")
        except subprocess.CalledProcessError as failure:
            return [f"a dry run of the backfill would still change something: {failure.stdout.strip()}"]
        return []


class BackfillKilled(_Backfill):
    """Killed before its COMMIT, then run twice, for orders whose events are not counted yet."""

    number = "F21a"
    title = "backfill killed, then run twice"
    protection = "a backfill records the events of the orders that it counts"
    control_shows = "invariant statistics_are_counted_orders broken"

    def control(self) -> Variant:
        return Variant(patches=("tests.faults.f21_backfill.record_nothing",))

    def strike(self, run: Run) -> str:
        # So that there are orders that are not in the statistics.
        run.shop.consumer.pause()
        if not run.wait_until(lambda: under_way()[1] > 10, seconds=_UNDER_WAY_SECONDS):
            raise NotFired("no event was under way")
        pid = _killed(run)
        reports = [_finished(run, _started(run)) for _ in range(2)]
        recorded = sum(report["events_recorded"] for report in reports)
        if not recorded:
            raise NotFired("the backfill found nothing that was not counted")
        return f"backfill {pid} killed in its day, two more recorded {recorded} events"

    def heal(self, run: Run) -> None:
        run.shop.consumer.resume()


class BackfillSlow(_Backfill):
    """One day takes seconds before its COMMIT. Orders, cancellations and reads do not wait for it."""

    number = "F21b"
    title = "backfill slow in its day"
    in_short = False
    protection = "a backfill locks nothing that an order needs"
    control_shows = "no order was acknowledged while a backfill"

    def control(self) -> Variant:
        return Variant(patches=("tests.faults.f21_backfill.lock_orders",))

    def strike(self, run: Run) -> str:
        before = run.fired(_INSIDE)
        run.shop.points.arm(_INSIDE, sleep(_OPEN_SECONDS))
        process = _started(run)
        pid = run.wait_for_point(_INSIDE, fired_before=before, seconds=_ENDS_WITHIN_SECONDS)
        # Requests that were running when its locks were acquired or released are not measured.
        opened_at = time.monotonic() + _SETTLING_SECONDS
        closed_at = opened_at + _OPEN_SECONDS - 3 * _SETTLING_SECONDS
        _finished(run, process)
        sold = sum(
            call.kind == "order" and call.outcome is Outcome.ACKNOWLEDGED and opened_at < call.answered_at < closed_at
            for call in run.history.calls
            if call.answered_at is not None
        )
        what = f"backfill {pid} held its day open for {_OPEN_SECONDS:.0f} s"
        if not sold:
            run.wrong.append(f"no order was acknowledged while a {what}")
        return f"{what}, {sold} orders meanwhile"


def _days() -> tuple[str, ...]:
    today = timezone.localdate()
    return "--from", str(today), "--to", str(today + timedelta(days=1))


def _started(run: Run) -> "subprocess.Popen[str]":
    return subprocess.Popen(  # noqa: S603 - our own command
        faulty_manage("backfill_product_stats", *_days()),
        env={**run.shop.environment, ROLE: "backfill"},
        cwd=PROJECT_ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def _finished(run: Run, process: "subprocess.Popen[str]") -> dict[str, int]:
    """The report of a successful backfill. Raises NotFired."""
    if not run.wait_until(lambda: process.poll() is not None, seconds=_ENDS_WITHIN_SECONDS):
        process.kill()
    output, errors = process.communicate()
    if process.returncode:
        raise NotFired(f"the backfill ended with {process.returncode}: {output}{errors}")
    report: dict[str, int] = json.loads(output.splitlines()[-1])
    return report


def _killed(run: Run) -> int:
    """A backfill that had changed a day and died before its COMMIT."""
    before = run.fired(_INSIDE)
    run.shop.points.arm(_INSIDE, KILL)
    process = _started(run)
    pid = run.wait_for_point(_INSIDE, fired_before=before, seconds=_ENDS_WITHIN_SECONDS)
    process.communicate(timeout=_ENDS_WITHIN_SECONDS)
    if is_alive(pid):
        raise NotFired(f"backfill {pid} survived SIGKILL")
    return pid


def record_nothing() -> None:
    """A backfill corrects the statistics without recording the events as counted."""
    operations.RECOMPUTE_DAY = operations.RECOMPUTE_DAY.replace(
        "SELECT event_id FROM unrecorded", "SELECT event_id FROM unrecorded WHERE false", 1
    )


def lock_orders() -> None:
    """A backfill blocks all orders while it counts."""
    recompute = operations.recompute_day

    def alone(day: date) -> DayComparison:
        sql.execute('LOCK TABLE "order" IN SHARE MODE', [])
        return recompute(day)

    operations.recompute_day = alone
