"""Deletes expired responses, in batches, once or at an interval."""

import logging
import threading
from collections.abc import Callable
from datetime import datetime

from django.db import Error as DatabaseFailure
from django.db import connection
from django.utils import timezone

from commerce.core import sql
from commerce.idempotency.claims import oldest_kept

logger = logging.getLogger(__name__)

BATCH_SIZE = 1_000

# Rows that another purge, or a request that uses the key again, has locked are skipped.
PURGE = """
    DELETE FROM idempotency_key
    WHERE id = ANY(ARRAY(
        SELECT id FROM idempotency_key
        WHERE created_at <= %(before)s
        ORDER BY created_at
        LIMIT %(limit)s
        FOR UPDATE SKIP LOCKED
    ))
"""


def purge_keys(
    *,
    now: datetime,
    stopping: Callable[[], bool] = lambda: False,
    on_batch: Callable[[int], object] = lambda _count: None,
) -> int:
    """Delete all responses stored more than `IDEMPOTENCY_HOURS` before `now`, and return their number.

    Runs in batches, one statement each. `on_batch` is called with the size of each batch, and `stopping` is checked
    between them. Raises django.db.Error if the database fails; the batches before that are deleted.
    """
    before = oldest_kept(now)
    purged = 0
    while not stopping() and (count := sql.execute(PURGE, {"before": before, "limit": BATCH_SIZE})):
        purged += count
        on_batch(count)
    return purged


def keep_purging(*, every_seconds: float, stopping: threading.Event, on_turn: Callable[[int], object]) -> None:
    """Purge now and then every `every_seconds` until `stopping` is set. A running batch is completed.

    `on_turn` is called with the number of deleted responses. If the database is unavailable, a turn is skipped.
    """
    while not stopping.is_set():
        try:
            on_turn(purge_keys(now=timezone.now(), stopping=stopping.is_set))
        except DatabaseFailure as error:
            logger.warning("Idempotency keys could not be purged, next try in %.0f s: %s", every_seconds, error)
        # Closed until the next turn, because connections to the database are limited.
        connection.close()
        stopping.wait(every_seconds)
