"""`manage.py purge_outbox`: delete messages that were sent long ago (`commerce.outbox.purge`)."""

import json
from dataclasses import asdict
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone
from tqdm import tqdm

from commerce.outbox.purge import purge_outbox


class Command(BaseCommand):
    help = (
        "Delete messages that were sent so many hours ago, and the log of their calls; never one that waits or is "
        "parked. Safe to repeat, and at the same time as itself. Exit code 0 when nothing so old is left, 2 when the "
        "arguments or OUTBOX_RETENTION_HOURS name no age."
    )
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--older-than-hours", type=float, help="Default: OUTBOX_RETENTION_HOURS. 0: all sent messages."
        )
        parser.add_argument("--json", action="store_true", help="Print the result as a line of JSON.")

    def handle(self, *args: Any, **options: Any) -> None:
        hours = self._hours(options["older_than_hours"])
        # `disable=None`: progress is shown on a terminal only.
        with tqdm(unit="message", leave=False, disable=None) as progress:
            purged = purge_outbox(now=timezone.now(), older_than_hours=hours, on_batch=progress.update)
        if options["json"]:
            self.stdout.write(json.dumps({"older_than_hours": hours, **asdict(purged)}))
        else:
            self.stdout.write(f"{purged.messages} messages and {purged.attempts} delivery attempts purged")

    def _hours(self, given: float | None) -> float:
        if given is None:
            if not settings.OUTBOX_RETENTION_HOURS:
                message = "OUTBOX_RETENTION_HOURS is 0, which means forever. Set --older-than-hours."
                raise CommandError(message, returncode=2)
            return float(settings.OUTBOX_RETENTION_HOURS)
        if not 0 <= given <= _MOST_HOURS:
            raise CommandError(f"--older-than-hours is between 0 and {_MOST_HOURS:,}.", returncode=2)
        return given


_MOST_HOURS = 876_000
"""A hundred years, so that the computed time stays within the range of datetime."""
