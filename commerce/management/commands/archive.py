"""`manage.py archive`: everything that has a retention setting, brought down to it.

Owns the signals, the progress and the report; what goes is `commerce.archive.retention`'s.
"""

import json
import signal
import threading
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone
from tqdm import tqdm

from commerce.archive.files import FolderNotUsable
from commerce.archive.retention import Kept, keep_at_it, keep_to_retention
from commerce.core.metrics_server import MetricsPortTaken, metrics_served

MOST_MINUTES = 10_080
"""A week."""


class Command(BaseCommand):
    help = (
        "Delete messages and their calls after OUTBOX_RETENTION_HOURS, answers after IDEMPOTENCY_HOURS, and which "
        "events were counted after PROCESSED_EVENT_RETENTION_HOURS, as long as all older ones are counted. Move ledger "
        "entries, stock movements and orders to files of ARCHIVE_DIR after LEDGER_RETENTION_DAYS, "
        "STOCK_MOVEMENT_RETENTION_DAYS and ORDER_RETENTION_DAYS. In batches of 1,000, beside sales. Safe to repeat, to "
        "end at any time, and at the same time as itself. Exit code 0; 1 where files cannot be written. With --every: "
        "again and again until SIGTERM or Ctrl-C; while the database is away, wait for the next turn."
    )
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--json", action="store_true", help="End with one JSON line; with --every, one per turn.")
        parser.add_argument("--every", type=float, metavar="MINUTES", help="Do not end: again after so many minutes.")
        parser.add_argument(
            "--metrics-port", type=int, help="With --every: serve this process's metrics. 0: any free port."
        )
        parser.add_argument("--metrics-host", default="127.0.0.1", help="At which address (default %(default)s).")

    def handle(self, *args: Any, **options: Any) -> None:
        self._json: bool = options["json"]
        minutes: float | None = options["every"]
        if minutes is not None:
            try:
                with metrics_served(options["metrics_port"], host=options["metrics_host"]):
                    self._keep_at_it(minutes)
            except MetricsPortTaken as taken:
                raise CommandError(str(taken)) from taken
            return
        # `disable=None`: progress is shown on a terminal only.
        with tqdm(unit="row", leave=False, disable=None) as progress:
            try:
                kept = keep_to_retention(now=timezone.now(), on_batch=progress.update)
            except FolderNotUsable as error:
                raise CommandError(f"ARCHIVE_DIR: {error}") from error
        self._report(kept)

    def _keep_at_it(self, minutes: float) -> None:
        if not 0 < minutes <= MOST_MINUTES:
            raise CommandError(f"--every is above 0 and {MOST_MINUTES:,} at most.", returncode=2)
        stopping = threading.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda _number, _frame: stopping.set())
        keep_at_it(every_seconds=minutes * 60, stopping=stopping, on_turn=self._report)
        self.stdout.write("Archive stopped")

    def _report(self, kept: Kept) -> None:
        held_up_at = kept.held_up_at.isoformat() if kept.held_up_at else None
        ledger_held_up_at = kept.ledger_held_up_at.isoformat() if kept.ledger_held_up_at else None
        if self._json:
            moments = {"held_up_at": held_up_at, "ledger_held_up_at": ledger_held_up_at}
            self.stdout.write(json.dumps({**kept.deleted, **kept.archived, **moments}))
            return
        for table, count in kept.deleted.items():
            self.stdout.write(f"{table:<18}{count:>12,} rows deleted")
        for table, count in kept.archived.items():
            self.stdout.write(f"{table:<18}{count:>12,} rows archived")
        if held_up_at:
            self.stdout.write(f"An event of {held_up_at} is not counted yet: what is younger stays. See DeadLetters.")
        if ledger_held_up_at:
            self.stdout.write(
                f"A message of a ledger entry of {ledger_held_up_at} is not delivered yet: what is younger stays. "
                "See MessagesParked."
            )
