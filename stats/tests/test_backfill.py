"""`backfill_product_stats`: statistics recomputed from orders, exact even while orders are placed."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
import termios
import weakref
from contextlib import nullcontext, suppress
from datetime import date
from io import FileIO, StringIO
from typing import TYPE_CHECKING

import pytest
from django.core.management import CommandError, call_command
from django.db import OperationalError
from django.utils import timezone

from orders.events import order_completed
from stats import operations
from stats.models import ProcessedEvent, ProductStat
from stats.services import backfill_product_stats
from stats.tests.conftest import (
    cancel,
    count_order_events,
    move_order_to_day,
    sent_events,
    uncommitted,
    units_counted,
)
from tests.factories import order_of
from tests.outbox.manage import MANAGE, _environment, call, managed
from tests.shop_state import nothing_changes
from tests.together import PATIENCE_SECONDS, meanwhile, row_held, together, wait_until, wait_until_blocked

if TYPE_CHECKING:
    from balances.models import User
    from orders.models import Order
    from products.models import Product

pytestmark = pytest.mark.django_db(transaction=True)


def backfill(from_day: str | date, to_day: str | date) -> dict[str, object]:
    """Run the command and return its last line."""
    lines, code = backfill_lines(from_day, to_day)
    assert (code, len(lines)) == (0, 1)
    report: dict[str, object] = json.loads(lines[0])
    return report


def backfill_lines(from_day: str | date, to_day: str | date, *more: str) -> tuple[list[str], int]:
    """Every line of the command, and its exit code."""
    out, code = StringIO(), 0
    try:
        call_command(
            "backfill_product_stats", "--from", str(from_day), "--to", str(to_day), *more, stdout=out, stderr=StringIO()
        )
    except SystemExit as end:
        code = int(str(end.code))
    return out.getvalue().splitlines(), code


def a_few_days(user: User, pen: Product, ink: Product) -> list[Order]:
    """Orders of three days, one of them cancelled; nothing is counted yet."""
    orders = [
        order_of(user, {pen: 2, ink: 1}),
        order_of(user, {pen: 3}),
        order_of(user, {ink: 4}),
        order_of(user, {pen: 7}),
        order_of(user, {pen: 1}),
    ]
    for order, day in zip(orders, ("2026-02-27", "2026-02-28", "2026-02-28", "2026-02-28", "2026-03-01"), strict=True):
        move_order_to_day(order.pk, day)
    cancel(orders[3])
    return orders


DAYS_TOGETHER = {"2026-02-27": (2, 1), "2026-02-28": (3, 4), "2026-03-01": (1, 0)}


def expected(pen: Product, ink: Product) -> dict[tuple[int, str], int]:
    return {
        (product.pk, day): units[position]
        for day, units in DAYS_TOGETHER.items()
        for position, product in enumerate((pen, ink))
        if units[position]
    }


def test_backfill_and_consumer_agree(user: User, pen: Product, ink: Product) -> None:
    a_few_days(user, pen, ink)
    count_order_events(events=sent_events())
    assert units_counted() == expected(pen, ink)
    with nothing_changes():
        report = backfill("2026-02-27", "2026-03-01")
    assert report == {
        "from": "2026-02-27",
        "to": "2026-03-01",
        "dry_run": False,
        "days": 3,
        "rows_changed": 0,
        "events_recorded": 0,
        "stopped_at": None,
    }


def test_backfill_counts_orders_that_were_never_counted(user: User, pen: Product, ink: Product) -> None:
    a_few_days(user, pen, ink)
    report = backfill("2026-02-27", "2026-03-01")
    assert units_counted() == expected(pen, ink)
    assert (report["rows_changed"], report["events_recorded"]) == (5, 6)


def test_events_that_arrive_after_the_backfill_add_nothing(user: User, pen: Product, ink: Product) -> None:
    a_few_days(user, pen, ink)
    backfill("2026-02-27", "2026-03-01")
    assert count_order_events(events=sent_events()) == 0
    assert units_counted() == expected(pen, ink)


def test_without_processed_events_late_events_count_twice(
    user: User, pen: Product, ink: Product, monkeypatch: pytest.MonkeyPatch
) -> None:
    careless = operations.RECOMPUTE_DAY.replace("SELECT event_id FROM unrecorded", "SELECT event_id FROM due LIMIT 0")
    assert careless != operations.RECOMPUTE_DAY
    monkeypatch.setattr(operations, "RECOMPUTE_DAY", careless)
    a_few_days(user, pen, ink)
    backfill("2026-02-27", "2026-03-01")
    count_order_events(events=sent_events())
    assert units_counted() == {place: 2 * units for place, units in expected(pen, ink).items()}


def test_a_second_backfill_changes_nothing(user: User, pen: Product, ink: Product) -> None:
    a_few_days(user, pen, ink)
    backfill("2026-02-27", "2026-03-01")
    with nothing_changes():
        report = backfill("2026-02-27", "2026-03-01")
    assert (report["rows_changed"], report["events_recorded"]) == (0, 0)


def test_wrong_numbers_are_corrected_on_the_requested_days_only(user: User, pen: Product, ink: Product) -> None:
    a_few_days(user, pen, ink)
    count_order_events(events=sent_events())
    ProductStat.objects.filter(product=pen, date="2026-02-28").update(quantity_sold=99)
    ProductStat.objects.filter(product=ink, date="2026-02-28").delete()
    ProductStat.objects.create(product=ink, date="2026-03-01", quantity_sold=5)
    ProductStat.objects.filter(product=pen, date="2026-02-27").update(quantity_sold=50)
    report = backfill("2026-02-28", "2026-03-01")
    assert report["rows_changed"] == 3
    assert units_counted() == expected(pen, ink) | {(pen.pk, "2026-02-27"): 50}


def test_a_dry_run_prints_differences_and_changes_nothing(user: User, pen: Product, ink: Product) -> None:
    a_few_days(user, pen, ink)
    ProductStat.objects.create(product=pen, date="2026-03-01", quantity_sold=4)
    ProductStat.objects.create(product=ink, date="2026-03-01", quantity_sold=2)
    with nothing_changes():
        lines, code = backfill_lines("2026-02-28", "2026-03-01", "--dry-run")
    assert code == 1
    assert lines[:-1] == [
        f"2026-02-28 product {pen.pk}: 0 -> 3",
        f"2026-02-28 product {ink.pk}: 0 -> 4",
        f"2026-03-01 product {pen.pk}: 4 -> 1",
        f"2026-03-01 product {ink.pk}: 2 -> 0",
    ]
    report = json.loads(lines[-1])
    assert (report["dry_run"], report["rows_changed"], report["events_recorded"]) == (True, 4, 5)
    assert (report["days"], report["stopped_at"]) == (2, None)


def test_a_dry_run_without_differences_says_so(user: User, pen: Product, ink: Product) -> None:
    a_few_days(user, pen, ink)
    count_order_events(events=sent_events())
    lines, code = backfill_lines("2026-02-27", "2026-03-01", "--dry-run")
    assert (len(lines), code) == (1, 0)
    assert json.loads(lines[0])["rows_changed"] == 0


class TestInterrupted:
    """Each day is finished or unchanged, and the next run continues."""

    def test_a_failing_day_stops_the_run_and_the_next_run_finishes(
        self, user: User, pen: Product, ink: Product, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        a_few_days(user, pen, ink)

        def fail_on_the_second(day: date) -> operations.DayComparison:
            done = recompute_day(day)
            if day == date(2026, 2, 28):
                raise OperationalError("gone")
            return done

        recompute_day = operations.recompute_day
        monkeypatch.setattr(operations, "recompute_day", fail_on_the_second)
        out, err = StringIO(), StringIO()
        with pytest.raises(CommandError, match=r"^Stopped at 2026-02-28: gone\.") as stopped:
            call_command(
                *("backfill_product_stats", "--from", "2026-02-27", "--to", "2026-03-01"), stdout=out, stderr=err
            )
        assert stopped.value.returncode == 3
        report = json.loads(out.getvalue())
        assert (report["days"], report["stopped_at"], report["rows_changed"]) == (1, "2026-02-28", 2)
        assert err.getvalue() == "2026-02-27: 2 differed, 1 new events\n"
        assert units_counted() == {(pen.pk, "2026-02-27"): 2, (ink.pk, "2026-02-27"): 1}
        assert ProcessedEvent.objects.count() == 1
        monkeypatch.setattr(operations, "recompute_day", recompute_day)
        report = backfill("2026-02-27", "2026-03-01")
        assert (report["days"], report["stopped_at"], report["rows_changed"]) == (3, None, 3)
        assert units_counted() == expected(pen, ink)
        assert count_order_events(events=sent_events()) == 0

    def test_without_a_transaction_per_day_half_a_day_remains(
        self, user: User, pen: Product, ink: Product, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        a_few_days(user, pen, ink)
        monkeypatch.setattr("stats.services.transaction.atomic", lambda **_: nullcontext())

        def fail_after_the_units(day: date) -> operations.DayComparison:
            recompute_day(day)
            raise OperationalError("gone")

        recompute_day = operations.recompute_day
        monkeypatch.setattr(operations, "recompute_day", fail_after_the_units)
        with pytest.raises(OperationalError, match="gone"):
            backfill_product_stats(from_date=date(2026, 2, 28), to_date=date(2026, 2, 28), dry_run=False)
        assert units_counted() == {(pen.pk, "2026-02-28"): 3, (ink.pk, "2026-02-28"): 4}

    def test_killed_in_the_middle_of_a_day(self, user: User, pen: Product, ink: Product) -> None:
        a_few_days(user, pen, ink)
        row = ProductStat.objects.create(product=ink, date="2026-02-28", quantity_sold=9)
        arguments = ("backfill_product_stats", "--from", "2026-02-27", "--to", "2026-03-01")
        with row_held("product_stat", row.pk), managed(*arguments) as run:
            wait_until(lambda: run.printed("2026-02-27: 2 differed, 1 new events"), "the first day")
            wait_until_blocked()
            assert run.stop(signal.SIGKILL) == -signal.SIGKILL
        assert units_counted() == {(pen.pk, "2026-02-27"): 2, (ink.pk, "2026-02-27"): 1, (ink.pk, "2026-02-28"): 9}
        assert backfill("2026-02-27", "2026-03-01")["rows_changed"] == 3
        assert units_counted() == expected(pen, ink)

    @pytest.mark.parametrize(("number", "reason"), [(signal.SIGINT, "KeyboardInterrupt"), (signal.SIGTERM, "SIGTERM")])
    def test_ctrl_c_and_sigterm_report_the_current_day(
        self, user: User, pen: Product, ink: Product, number: signal.Signals, reason: str
    ) -> None:
        a_few_days(user, pen, ink)
        row = ProductStat.objects.create(product=ink, date="2026-02-28", quantity_sold=9)
        arguments = ("backfill_product_stats", "--from", "2026-02-27", "--to", "2026-03-01")
        with row_held("product_stat", row.pk), managed(*arguments) as run:
            wait_until(lambda: run.printed("2026-02-27: 2 differed, 1 new events"), "the first day")
            wait_until_blocked()
            assert run.stop(number) == 3
        assert run.printed(f"Stopped at 2026-02-28: {reason}.")
        [report] = [json.loads(line) for line in run.lines if line.startswith("{")]
        assert (report["days"], report["stopped_at"], report["rows_changed"]) == (1, "2026-02-28", 2)
        assert units_counted() == {(pen.pk, "2026-02-27"): 2, (ink.pk, "2026-02-27"): 1, (ink.pk, "2026-02-28"): 9}


def test_each_day_is_reported_and_not_accumulated(user: User, pen: Product, ink: Product) -> None:
    a_few_days(user, pen, ink)
    found_on: list[tuple[date, weakref.ref[operations.DayComparison]]] = []

    def on_day(day: date, comparison: operations.DayComparison) -> None:
        assert [earlier for earlier, found in found_on if found() is not None] == []
        found_on.append((day, weakref.ref(comparison)))

    backfill_product_stats(from_date=date(2026, 2, 27), to_date=date(2026, 3, 1), dry_run=False, on_day=on_day)
    assert [day for day, _ in found_on] == [date(2026, 2, 27), date(2026, 2, 28), date(2026, 3, 1)]


def test_a_terminal_shows_a_progress_bar_and_the_day() -> None:
    screen, terminal = pty.openpty()
    termios.tcsetwinsize(terminal, (24, 80))
    arguments = [sys.executable, MANAGE, "backfill_product_stats", "--from", "2026-02-27", "--to", "2026-03-01"]
    with os.fdopen(screen, "rb", buffering=0) as shown:
        with os.fdopen(terminal, "wb") as stderr:
            done = subprocess.run(  # noqa: S603  # our own command
                arguments,
                env=_environment({}),
                stdout=subprocess.PIPE,
                stderr=stderr,
                timeout=PATIENCE_SECONDS,
                check=False,
            )
        text = everything_shown(shown)
    assert done.returncode == 0
    assert "2026-03-01: 100%" in text
    assert "3/3" in text
    assert "differed" not in text
    assert json.loads(done.stdout)["days"] == 3


def everything_shown(screen: FileIO) -> str:
    """Read a closed terminal's output; reading past its end raises an error."""
    chunks = []
    with suppress(OSError):
        while chunk := screen.read(10_000):
            chunks.append(chunk)
    return b"".join(chunks).decode()


class TestEventsInFlight:
    """Whether events are counted before the backfill or after it, the sum is the same."""

    @pytest.mark.parametrize("counted_before", [(), (0,), (0, 1)], ids=["none", "completed", "both"])
    def test_a_cancelled_order(self, user: User, pen: Product, counted_before: tuple[int, ...]) -> None:
        order = order_of(user, {pen: 4})
        kept = order_of(user, {pen: 1})
        cancel(order)
        today = timezone.localdate()
        events = [event for event in sent_events() if event.source_id == order.pk]
        count_order_events(events=[events[position] for position in counted_before])
        backfill(today, today)
        assert units_counted() == {(pen.pk, today.isoformat()): 1}
        assert count_order_events(events=sent_events()) == 0
        assert units_counted() == {(pen.pk, today.isoformat()): 1}
        assert ProcessedEvent.objects.filter(event_id=order_completed(kept).id).exists()

    @pytest.mark.parametrize("counted_before", [True, False])
    def test_an_order_cancelled_after_the_backfill(self, user: User, pen: Product, *, counted_before: bool) -> None:
        order = order_of(user, {pen: 4})
        today = timezone.localdate()
        if counted_before:
            count_order_events(events=sent_events())
        backfill(today, today)
        assert units_counted() == {(pen.pk, today.isoformat()): 4}
        cancel(order)
        assert count_order_events(events=sent_events()) == 1
        assert units_counted() == {}

    def test_an_order_placed_after_the_backfill(self, user: User, pen: Product) -> None:
        today = timezone.localdate()
        order_of(user, {pen: 4})
        backfill(today, today)
        order_of(user, {pen: 2})
        assert count_order_events(events=sent_events()) == 1
        assert units_counted() == {(pen.pk, today.isoformat()): 6}


class TestConcurrentCounting:
    """Recomputing a day excludes counting."""

    def test_the_backfill_waits_for_a_running_count(self, user: User, pen: Product) -> None:
        order_of(user, {pen: 4})
        today = timezone.localdate()
        events = sent_events()
        with (
            uncommitted(lambda: operations.count_orders(events)) as commit,
            meanwhile(lambda: backfill(today, today)) as report,
        ):
            wait_until_blocked()
            commit()
            assert report.result(timeout=PATIENCE_SECONDS)["rows_changed"] == 0
        assert units_counted() == {(pen.pk, today.isoformat()): 4}

    def test_without_the_lock_both_record_the_same_event(
        self, user: User, pen: Product, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(operations, "COUNT_ALONE", "SELECT %s::text")
        order_of(user, {pen: 4})
        today = timezone.localdate()
        events = sent_events()
        with (
            uncommitted(lambda: operations.count_orders(events)) as commit,
            meanwhile(lambda: backfill(today, today)) as report,
        ):
            wait_until_blocked()
            commit()
            with pytest.raises(CommandError, match="duplicate key"):
                report.result(timeout=PATIENCE_SECONDS)

    def test_counting_waits_for_the_backfill(self, user: User, pen: Product) -> None:
        order_of(user, {pen: 4})
        today = timezone.localdate()
        events = sent_events()
        with (
            uncommitted(lambda: operations.recompute_day(today)) as commit,
            meanwhile(lambda: count_order_events(events=events)) as counted,
        ):
            wait_until_blocked()
            commit()
            assert counted.result(timeout=PATIENCE_SECONDS) == 0
        assert units_counted() == {(pen.pk, today.isoformat()): 4}

    def test_concurrent_backfills_and_counts_end_exact(self, user: User, pen: Product, ink: Product) -> None:
        orders = [order_of(user, {pen: number % 3 + 1, ink: 1}) for number in range(40)]
        for order in orders[::4]:
            cancel(order)
        today = timezone.localdate()
        events = sent_events()
        counts = [
            lambda part=events[start : start + 5]: count_order_events(events=part) for start in range(0, len(events), 5)
        ]
        backfills = [lambda: backfill_product_stats(from_date=today, to_date=today, dry_run=False)] * 8
        mixed = [action for pair in zip(counts, backfills, strict=False) for action in pair] + counts[len(backfills) :]
        together(mixed, at_once=6)
        pens = sum(number % 3 + 1 for number in range(40) if number % 4)
        assert units_counted() == {(pen.pk, today.isoformat()): pens, (ink.pk, today.isoformat()): 30}
        with nothing_changes():
            backfill(today, today)


def test_invalid_days_are_refused() -> None:
    with pytest.raises(CommandError, match="is before") as refused:
        backfill("2026-03-02", "2026-03-01")
    assert refused.value.returncode == 2
    with pytest.raises(CommandError, match="not a day"):
        backfill("2026-02-30", "2026-03-01")
    with pytest.raises(ValueError, match="is before"):
        backfill_product_stats(from_date=date(2026, 3, 2), to_date=date(2026, 3, 1), dry_run=True)
    assert call("backfill_product_stats", "--from", "2026-02-30", "--to", "2026-03-01").returncode == 2
