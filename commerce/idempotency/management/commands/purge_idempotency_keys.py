"""`manage.py purge_idempotency_keys`: deletes expired responses.

Contains the report. The deletion itself is in `commerce.idempotency.purge`.
"""

from collections.abc import Callable

from django.utils import timezone

from commerce.core.repeated import CountingCommand
from commerce.idempotency.purge import purge_keys


class Command(CountingCommand):
    help = (
        "Delete the answers that were given more than IDEMPOTENCY_HOURS ago. Safe to repeat, and at the same time as "
        "itself. Exit code 0 when nothing so old is left. With --every: do so again and again until SIGTERM or "
        "Ctrl-C, finish the batch in hand, exit with 0; while the database is away, wait for the next turn."
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
