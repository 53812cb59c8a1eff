"""`manage.py outbox_retry`: queue parked messages again (`commerce.outbox.resend`)."""

import json
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from tqdm import tqdm

from commerce.outbox.resend import retry_parked
from commerce.outbox.sinks.base import known_destinations


class Command(BaseCommand):
    help = (
        "Let the dispatcher try parked messages afresh, all of them or those that are named. Safe to repeat, and at "
        "the same time as itself. Exit code 0, also when --all-parked finds nothing; 1 when an event was named and no "
        "parked message is of it; 2 when nothing or something unknown was named."
    )
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        which = parser.add_mutually_exclusive_group(required=True)
        which.add_argument("--all-parked", action="store_true", help="Every parked message.")
        which.add_argument(
            "--event-id", action="append", metavar="EVENT", help="One event, such as order-completed:1; repeatable."
        )
        parser.add_argument("--destination", choices=known_destinations(), help="Only messages to this destination.")
        parser.add_argument("--json", action="store_true", help="Print the result as a line of JSON.")

    def handle(self, *args: Any, **options: Any) -> None:
        event_ids: list[str] | None = options["event_id"]
        # `disable=None`: progress is shown on a terminal only.
        with tqdm(unit="message", leave=False, disable=None) as progress:
            count = retry_parked(destination=options["destination"], event_ids=event_ids, on_batch=progress.update)
        self.stdout.write(json.dumps({"put_back": count}) if options["json"] else f"{count} messages are queued again")
        if event_ids and not count:
            raise CommandError(f"No parked message of {', '.join(event_ids)}.")
