"""`manage.py purge_idempotency_keys`: deletes expired responses.

Contains the report. The deletion itself is in `commerce.idempotency.purge`.
"""

from collections.abc import Callable

from django.utils import timezone

from commerce.core.repeated import CountingCommand
from commerce.idempotency.purge import purge_keys


class Command(CountingCommand):
    help = (
        "Delete stored responses that are older than IDEMPOTENCY_HOURS. Can be repeated and run concurrently with "
        "itself. With --every: repeat until SIGTERM or Ctrl-C, then finish the current batch and exit with 0; while "
        "the database is unavailable, wait for the next run."
    )
    # A week. Keys come with every write, so a longer interval would leave too many.
    most_minutes = 10_080
    unit = "key"
    counted = "keys"
    failed = "Idempotency keys could not be purged, next try in %.0f s: %s"
    ended = "Purge stopped"

    def turn(self, stopping: Callable[[], bool], on_batch: Callable[[int], object]) -> int:
        return purge_keys(now=timezone.now(), stopping=stopping, on_batch=on_batch)

    def sentence(self, count: int) -> str:
        return f"{count} idempotency keys purged"
