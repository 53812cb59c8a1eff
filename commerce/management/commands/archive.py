"""`manage.py archive`: everything that has a retention setting, brought down to it.

Owns the order, the progress and the report; what may go is said by each table's own purge.
"""

import json
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand
from django.utils import timezone
from tqdm import tqdm

from commerce.idempotency.purge import purge_keys
from commerce.outbox.purge import Purged, purge_outbox
from reservations.services import purge_reservations
from stats.services import Forgotten, forget_counted


class Command(BaseCommand):
    help = (
        "Delete messages and their calls after OUTBOX_RETENTION_HOURS, answers after IDEMPOTENCY_HOURS, which events "
        "were counted after PROCESSED_EVENT_RETENTION_HOURS, as long as all older ones are counted, and reservations "
        "RESERVATION_RETENTION_HOURS after their end. In batches of 1,000, beside sales. Safe to repeat, to end at any "
        "time, and at the same time as itself. Exit code 0."
    )
    requires_system_checks = ()

    def add_arguments(self, parser: Any) -> None:
        parser.add_argument("--json", action="store_true", help="End with one JSON line.")

    def handle(self, *args: Any, **options: Any) -> None:
        now = timezone.now()
        # `disable=None`: progress is shown on a terminal only.
        with tqdm(unit="row", leave=False, disable=None) as progress:
            outbox = Purged()
            if settings.OUTBOX_RETENTION_HOURS:
                hours = settings.OUTBOX_RETENTION_HOURS
                outbox = purge_outbox(now=now, older_than_hours=hours, on_batch=progress.update)
            keys = purge_keys(now=now, on_batch=progress.update)
            counted = Forgotten(0)
            if settings.PROCESSED_EVENT_RETENTION_HOURS:
                before = now - timedelta(hours=settings.PROCESSED_EVENT_RETENTION_HOURS)
                counted = forget_counted(before=before, on_batch=progress.update)
            reservations = 0
            if settings.RESERVATION_RETENTION_HOURS:
                before = now - timedelta(hours=settings.RESERVATION_RETENTION_HOURS)
                reservations = purge_reservations(before=before, on_batch=progress.update)
        held_up_at = counted.held_up_at.isoformat() if counted.held_up_at else None
        rows = {
            "outbox_message": outbox.messages,
            "delivery_attempt": outbox.attempts,
            "idempotency_key": keys,
            "processed_event": counted.events,
            "reservation": reservations,
        }
        if options["json"]:
            self.stdout.write(json.dumps({**rows, "held_up_at": held_up_at}))
            return
        for table, count in rows.items():
            self.stdout.write(f"{table:<18}{count:>12,} rows deleted")
        if held_up_at:
            self.stdout.write(f"An event of {held_up_at} is not counted yet: what is younger stays. See DeadLetters.")
