"""Forgetting answers whose repeats are over.

Owns the size of the steps; never forgets an answer that a repeat would still be given.
"""

from collections.abc import Callable
from datetime import datetime

from commerce.core import sql
from commerce.idempotency.claims import oldest_kept

BATCH_SIZE = 1_000

# What another purge, or a request that takes the key for something new, has in hand is left to it.
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
    """Delete every answer given more than `IDEMPOTENCY_HOURS` before `now`, and return how many those were.

    In batches, each a statement of its own; `on_batch` gets how many each had, and `stopping` is asked between
    them. Raises django.db.Error where the database fails; the batches before are gone then.
    """
    before = oldest_kept(now)
    purged = 0
    while not stopping() and (count := sql.execute(PURGE, {"before": before, "limit": BATCH_SIZE})):
        purged += count
        on_batch(count)
    return purged
