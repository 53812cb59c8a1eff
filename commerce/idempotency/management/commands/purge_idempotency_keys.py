"""`manage.py purge_idempotency_keys`: answers that are too old to be repeated, forgotten.

Owns the progress and the report; what may go is `commerce.idempotency.purge`'s.
"""

import json
from typing import Any

from django.core.management.base import BaseCommand, CommandParser
from django.utils import timezone
from tqdm import tqdm

from commerce.idempotency.purge import purge_keys


class Command(BaseCommand):
    help = (
        "Delete the answers that were given more than IDEMPOTENCY_HOURS ago. Safe to repeat, and at the same time as "
        "itself. Exit code 0 when nothing so old is left."
    )
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--json", action="store_true", help="End with one JSON line.")

    def handle(self, *args: Any, **options: Any) -> None:
        # `disable=None`: progress is shown on a terminal only.
        with tqdm(unit="key", leave=False, disable=None) as progress:
            purged = purge_keys(now=timezone.now(), on_batch=progress.update)
        self.stdout.write(json.dumps({"keys": purged}) if options["json"] else f"{purged} idempotency keys purged")
