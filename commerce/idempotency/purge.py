"""Deletes expired responses, in batches."""

from collections.abc import Callable
from datetime import datetime

from commerce.core import sql
from commerce.idempotency.claims import oldest_kept

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
