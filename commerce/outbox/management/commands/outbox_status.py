"""`manage.py outbox_status`: the number of waiting, parked and sent messages by destination."""

import json
from dataclasses import asdict
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from commerce.outbox.status import DestinationStatus, outbox_status


class Command(BaseCommand):
    help = "Show per destination how many messages wait, are parked or were sent, and how long the oldest has waited."
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--json", action="store_true", help="One JSON line.")

    def handle(self, *args: Any, **options: Any) -> None:
        status = outbox_status()
        if options["json"]:
            self.stdout.write(json.dumps({"destinations": [asdict(row) for row in status]}))
            return
        self.stdout.write(f"{'destination':<16}{'waiting':>10}{'parked':>10}{'sent':>12}   oldest waiting")
        for row in status:
            self.stdout.write(_line(row))


def _line(row: DestinationStatus) -> str:
    oldest = "-" if row.oldest_waiting_seconds is None else f"{row.oldest_waiting_seconds:.1f} s"
    off = "" if row.switched_on else "   (switched off)"
    return f"{row.destination:<16}{row.waiting:>10}{row.parked:>10}{row.sent:>12}   {oldest}{off}"
