"""`manage.py notice_expiring_coupons`: those who hold a coupon that ends soon, told once.

Owns the signals, the progress and the report; who is told is `coupons.services.notice_expiring`'s.
"""

import json
import logging
import signal
import threading
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import Error as DatabaseFailure
from django.db import connection
from tqdm import tqdm

from commerce.core.metrics_server import MetricsPortTaken, metrics_served
from coupons.services import notice_expiring

logger = logging.getLogger(__name__)

MOST_MINUTES = 1_440
"""A day: with a longer interval a coupon could end unnoticed."""


class Command(BaseCommand):
    help = (
        "Write a message for the holder of each unused coupon that ends within COUPON_EXPIRY_NOTICE_DAYS, once for "
        "each coupon. Safe to repeat, and at the same time as itself. Does nothing while e-mail is switched off. "
        "Exit code 0. With --every: again and again until SIGTERM or Ctrl-C; while the database is away, wait for the "
        "next turn."
    )
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--json", action="store_true", help="End with one JSON line; with --every, one per turn.")
        parser.add_argument("--every", type=float, metavar="MINUTES", help="Do not end: again after so many minutes.")
        parser.add_argument(
            "--metrics-port",
            type=int,
            help="With --every: serve this process's metrics. 0: any free port.",
        )
        parser.add_argument("--metrics-host", default="127.0.0.1", help="At which address (default %(default)s).")

    def handle(self, *args: Any, **options: Any) -> None:
        self._json: bool = options["json"]
        minutes: float | None = options["every"]
        if minutes is not None:
            try:
                with metrics_served(options["metrics_port"], host=options["metrics_host"]):
                    self._keep_telling(minutes)
            except MetricsPortTaken as taken:
                raise CommandError(str(taken)) from taken
            return
        # `disable=None`: progress is shown on a terminal only.
        with tqdm(unit="coupon", leave=False, disable=None) as progress:
            self._report(notice_expiring(days=settings.COUPON_EXPIRY_NOTICE_DAYS, on_batch=progress.update))

    def _keep_telling(self, minutes: float) -> None:
        if not 0 < minutes <= MOST_MINUTES:
            raise CommandError(f"--every is above 0 and {MOST_MINUTES:,} at most.", returncode=2)
        stopping = threading.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda _number, _frame: stopping.set())
        while not stopping.is_set():
            try:
                self._report(notice_expiring(days=settings.COUPON_EXPIRY_NOTICE_DAYS, stopping=stopping.is_set))
            except DatabaseFailure as error:
                logger.warning("Coupons that end soon could not be looked for: %s", error)
            connection.close()
            stopping.wait(minutes * 60)
        self.stdout.write("Stopped")

    def _report(self, told: int) -> None:
        self.stdout.write(json.dumps({"told": told}) if self._json else f"{told} holders of coupons are told")
