"""`manage.py backfill_product_stats`: recompute statistics from orders (`stats.services`)."""

import json
import signal
import sys
import threading
from argparse import ArgumentTypeError
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, timedelta
from typing import Any, NoReturn

from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError, CommandParser, OutputWrapper
from django.db import Error as DatabaseFailure
from tqdm import tqdm

from commerce.core.days import validate_day
from stats.errors import DayIsFinal
from stats.operations import DayComparison
from stats.services import backfill_product_stats

DIFFERS, BAD_DAYS, STOPPED = 1, 2, 3


class Command(BaseCommand):
    help = (
        "Recompute product_stat of some days from the orders. Can be repeated, and run while orders are placed. Each "
        "day is finished or unchanged; the next run continues a stopped one. Prints the result as a line of JSON. Exit "
        "code 0 on success, with or without corrections; 1 if a dry run finds differences; 2 for invalid days, or days "
        "whose orders are archived; 3 if it was stopped at the printed day by a failure of the database, SIGTERM or "
        "Ctrl-C."
    )
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--from", dest="from_date", type=_day, required=True, help="First day, YYYY-MM-DD.")
        parser.add_argument("--to", dest="to_date", type=_day, required=True, help="Last day, inclusive.")
        parser.add_argument(
            "--dry-run",
            action="store_true",
            help="Change nothing; print the differences: stored value -> correct value.",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        from_date: date = options["from_date"]
        to_date: date = options["to_date"]
        dry_run: bool = options["dry_run"]
        if to_date < from_date:
            raise CommandError(f"--to {to_date} is before --from {from_date}.", returncode=BAD_DAYS)
        stopped: BaseException | None = None
        with _Progress(from_date, to_date, self.stdout if dry_run else None, self.stderr) as progress:
            try:
                with _sigterm_like_ctrl_c():
                    backfill_product_stats(
                        from_date=from_date, to_date=to_date, dry_run=dry_run, on_day=progress.on_day
                    )
            except DayIsFinal as refusal:
                raise CommandError(str(refusal), returncode=BAD_DAYS) from refusal
            except (DatabaseFailure, KeyboardInterrupt) as reason:
                stopped = reason
        self.stdout.write(json.dumps({**progress.report(), "dry_run": dry_run}))
        if stopped is not None:
            raise CommandError(
                f"Stopped at {progress.at}: {str(stopped) or type(stopped).__name__}. The days before it are done; "
                "the same command again finishes the rest.",
                returncode=STOPPED,
            ) from stopped
        if dry_run and progress.rows:
            sys.exit(DIFFERS)


class _Progress:
    """Progress of the run: a bar on a terminal, else a line per day, which shows where a killed run was."""

    def __init__(self, from_date: date, to_date: date, differences: OutputWrapper | None, lines: OutputWrapper) -> None:
        """`differences`: the stream for printing each difference, or None."""
        self._from_date = from_date
        self._to_date = to_date
        self._differences = differences
        self._lines = lines
        self._on_terminal = sys.stderr.isatty()
        self._days = 0
        self._events = 0
        self.rows = 0

    def __enter__(self) -> "_Progress":
        total = (self._to_date - self._from_date).days + 1
        self._bar = tqdm(total=total, unit="day", desc=str(self.at), disable=not self._on_terminal)
        return self

    def __exit__(self, *raised: object) -> None:
        self._bar.close()

    @property
    def at(self) -> date:
        """The current day: the first that is not finished."""
        return self._from_date + timedelta(days=self._days)

    def on_day(self, day: date, comparison: DayComparison) -> None:
        self._days += 1
        self.rows += len(comparison.differences)
        self._events += comparison.events_recorded
        if self._differences is not None:
            with tqdm.external_write_mode(file=sys.stdout):
                for difference in comparison.differences:
                    line = f"{day} product {difference.product_id}: {difference.counted} -> {difference.correct}"
                    self._differences.write(line)
        if self._on_terminal:
            self._bar.set_description(str(min(self.at, self._to_date)), refresh=False)
            self._bar.update()
        else:
            self._lines.write(f"{day}: {len(comparison.differences)} differed, {comparison.events_recorded} new events")

    def report(self) -> dict[str, Any]:
        return {
            "from": self._from_date.isoformat(),
            "to": self._to_date.isoformat(),
            "days": self._days,
            "rows_changed": self.rows,
            "events_recorded": self._events,
            "stopped_at": self.at.isoformat() if self.at <= self._to_date else None,
        }


@contextmanager
def _sigterm_like_ctrl_c() -> Iterator[None]:
    """On SIGTERM roll back the current day and report where the run was, as on Ctrl-C."""

    def stop(number: int, _frame: object) -> NoReturn:
        raise KeyboardInterrupt(signal.Signals(number).name)

    if threading.current_thread() is not threading.main_thread():
        # `call_command` may run in any thread, but only the main thread can handle signals.
        yield
        return
    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _day(text: str) -> date:
    try:
        day = date.fromisoformat(text)
        validate_day(day)
    except ValueError as error:
        raise ArgumentTypeError(f"{text!r} is not a day like 2026-01-31") from error
    except ValidationError as error:
        raise ArgumentTypeError(f"{text!r}: {error.message % error.params}") from error
    return day
