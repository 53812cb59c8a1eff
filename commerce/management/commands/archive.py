"""`manage.py archive`: deletes and archives what is older than its retention setting (`commerce.archive.retention`)."""

import json
from collections.abc import Callable
from typing import Any

from django.core.management.base import CommandError
from django.db import Error as DatabaseFailure
from django.utils import timezone

from commerce.archive.files import FolderNotUsable
from commerce.archive.retention import Kept, keep_to_retention
from commerce.core import metrics
from commerce.core.repeated import RepeatedCommand


class Command(RepeatedCommand):
    help = (
        "Delete messages and their calls after OUTBOX_RETENTION_HOURS, responses after IDEMPOTENCY_HOURS, reservations "
        "RESERVATION_RETENTION_HOURS after their end, and records of counted events after "
        "PROCESSED_EVENT_RETENTION_HOURS if all older ones are counted. Move ledger entries, stock movements and "
        "orders to files in ARCHIVE_DIR after LEDGER_RETENTION_DAYS, STOCK_MOVEMENT_RETENTION_DAYS and "
        "ORDER_RETENTION_DAYS. Works in batches of 1,000 rows and does not block sales. Can be repeated, stopped at "
        "any time, and run concurrently with itself. Exit code 0, or 1 if files cannot be written. With --every: "
        "repeat until SIGTERM or Ctrl-C; while the database is unavailable, wait for the next run."
    )
    most_minutes = 10_080  # a week
    unit = "row"
    failed = "Old rows could not be archived, next try in %.0f s: %s"
    failures = (DatabaseFailure, FolderNotUsable)
    ended = "Archive stopped"

    def turn(self, stopping: Callable[[], bool], on_batch: Callable[[int], object]) -> Kept:
        kept = keep_to_retention(now=timezone.now(), stopping=stopping, on_batch=on_batch)
        if not stopping():
            metrics.ARCHIVE_FINISHED.set_to_current_time()
            for by, moment in (("counting", kept.held_up_at), ("delivery", kept.ledger_held_up_at)):
                metrics.ARCHIVE_HELD_UP.labels(by).set(moment.timestamp() if moment else 0)
        return kept

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            super().handle(*args, **options)
        except FolderNotUsable as error:
            raise CommandError(f"ARCHIVE_DIR: {error}") from error

    def report(self, kept: Kept) -> None:
        held_up_at = kept.held_up_at.isoformat() if kept.held_up_at else None
        ledger_held_up_at = kept.ledger_held_up_at.isoformat() if kept.ledger_held_up_at else None
        if self.as_json:
            moments = {"held_up_at": held_up_at, "ledger_held_up_at": ledger_held_up_at}
            self.stdout.write(json.dumps({**kept.deleted, **kept.archived, **moments}))
            return
        for table, count in kept.deleted.items():
            self.stdout.write(f"{table:<18}{count:>12,} rows deleted")
        for table, count in kept.archived.items():
            self.stdout.write(f"{table:<18}{count:>12,} rows archived")
        if held_up_at:
            self.stdout.write(
                f"An event of {held_up_at} is not counted yet: later rows are not archived. See DeadLetters."
            )
        if ledger_held_up_at:
            self.stdout.write(
                f"A message of a ledger entry of {ledger_held_up_at} is not delivered yet: later rows are not "
                "archived. See MessagesParked."
            )
