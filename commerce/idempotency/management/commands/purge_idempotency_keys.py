"""`manage.py purge_idempotency_keys`: deletes expired responses.

Contains the signals, the progress and the report. The deletion itself is in `commerce.idempotency.purge`.
"""

import json
import signal
import threading
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone
from tqdm import tqdm

from commerce.core.metrics_server import MetricsPortTaken, metrics_served
from commerce.idempotency.purge import keep_purging, purge_keys

MOST_MINUTES = 10_080
"""A week. Every write stores a key, so a longer interval would leave too many."""


class Command(BaseCommand):
    help = (
        "Delete the answers that were given more than IDEMPOTENCY_HOURS ago. Safe to repeat, and at the same time as "
        "itself. Exit code 0 when nothing so old is left. With --every: do so again and again until SIGTERM or "
        "Ctrl-C, finish the batch in hand, exit with 0; while the database is away, wait for the next turn."
    )
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--json", action="store_true", help="End with one JSON line; with --every, one per turn.")
        parser.add_argument(
            "--every", type=float, metavar="MINUTES", help="Do not end: purge now, and then every so many minutes."
        )

        parser.add_argument(
            "--metrics-port",
            type=int,
            help="With --every: serve this process's metrics on 127.0.0.1. 0: any free port.",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        self._json: bool = options["json"]
        minutes: float | None = options["every"]
        if minutes is not None:
            try:
                with metrics_served(options["metrics_port"]):
                    self._keep_purging(minutes)
            except MetricsPortTaken as taken:
                raise CommandError(str(taken)) from taken
            return
        # `disable=None`: progress is only shown on a terminal.
        with tqdm(unit="key", leave=False, disable=None) as progress:
            purged = purge_keys(now=timezone.now(), on_batch=progress.update)
        self._report(purged)

    def _keep_purging(self, minutes: float) -> None:
        if not 0 < minutes <= MOST_MINUTES:
            raise CommandError(f"--every is above 0 and {MOST_MINUTES:,} at most.", returncode=2)
        stopping = threading.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda _number, _frame: stopping.set())
        keep_purging(every_seconds=minutes * 60, stopping=stopping, on_turn=self._report)
        self.stdout.write("Purge stopped")

    def _report(self, purged: int) -> None:
        self.stdout.write(json.dumps({"keys": purged}) if self._json else f"{purged} idempotency keys purged")
