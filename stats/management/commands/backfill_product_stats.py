"""`manage.py backfill_product_stats`: statistics recomputed from the orders.

Owns the arguments, the progress bar and the report; the recomputation is the service's.
"""

import json
import sys
from argparse import ArgumentTypeError
from datetime import date
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from tqdm import tqdm

from stats.operations import DayComparison
from stats.services import backfill_product_stats


class Command(BaseCommand):
    help = (
        "Set product_stat of some days to what the orders say. Safe to repeat, and while orders flow. "
        "Ends with one JSON line. Exit code 0, also when something had to be corrected."
    )
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--from", dest="from_date", type=_day, required=True, help="First day, YYYY-MM-DD.")
        parser.add_argument("--to", dest="to_date", type=_day, required=True, help="Last day, inclusive.")
        parser.add_argument("--dry-run", action="store_true", help="Show what differs and change nothing.")

    def handle(self, *args: Any, **options: Any) -> None:
        from_date: date = options["from_date"]
        to_date: date = options["to_date"]
        if to_date < from_date:
            raise CommandError(f"--to {to_date} lies before --from {from_date}.", returncode=2)
        days = (to_date - from_date).days + 1
        with tqdm(total=days, unit="day", disable=not sys.stderr.isatty()) as progress:

            def on_day(day: date, comparison: DayComparison) -> None:
                progress.update()
                for difference in comparison.differences if options["dry_run"] else ():
                    line = f"{day} product {difference.product_id}: {difference.counted} -> {difference.correct}"
                    self.stdout.write(line)

            comparisons = backfill_product_stats(
                from_date=from_date, to_date=to_date, dry_run=options["dry_run"], on_day=on_day
            )
        report = {
            "from": from_date.isoformat(),
            "to": to_date.isoformat(),
            "dry_run": options["dry_run"],
            "days": days,
            "rows_changed": sum(len(comparison.differences) for comparison in comparisons),
            "events_recorded": sum(comparison.events_recorded for comparison in comparisons),
        }
        self.stdout.write(json.dumps(report))


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise ArgumentTypeError(f"{text!r} is not a day like 2026-01-31") from error
