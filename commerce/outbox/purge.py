"""Deletion of old messages: sent ones, and parked ones of webhook subscriptions. Other messages are never deleted."""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.conf import settings
from django.db import Error as DatabaseFailure
from django.db import connection, transaction
from django.utils import timezone

from commerce.core import sql

logger = logging.getLogger(__name__)

HOUR_SECONDS = 3_600.0
BATCH_SIZE = 1_000

# One batch at a time across all processes: two concurrent batches could delete newer messages before older ones. A
# process waits at most for one batch.
TAKE_TURN = "SELECT pg_advisory_xact_lock(hashtextextended('outbox:purge', 0))"

# The oldest first, because an invariant relies on it: every fact later than the oldest kept delivery must still have
# its message (`facts_have_messages`). The rows are locked first, so that a message that staff are sending again is kept
# together with its log.
PURGE = """
    WITH oldest AS MATERIALIZED (
        SELECT id FROM outbox_message WHERE sent_at < %(before)s ORDER BY sent_at LIMIT %(limit)s FOR UPDATE
    ), attempts AS (
        DELETE FROM delivery_attempt USING oldest WHERE message_id = oldest.id RETURNING 1
    ), messages AS (
        DELETE FROM outbox_message AS message USING oldest WHERE message.id = oldest.id RETURNING 1
    )
    SELECT (SELECT count(*) FROM messages), (SELECT count(*) FROM attempts)
"""

# Parked messages of subscriptions are kept for a while so that staff can send them again. No invariant depends on them,
# so the order does not matter.
PURGE_PARKED = """
    WITH oldest AS MATERIALIZED (
        SELECT id FROM outbox_message
        WHERE parked_at < %(before)s AND sent_at IS NULL AND subscription_id IS NOT NULL
        ORDER BY parked_at LIMIT %(limit)s FOR UPDATE
    ), attempts AS (
        DELETE FROM delivery_attempt USING oldest WHERE message_id = oldest.id RETURNING 1
    ), messages AS (
        DELETE FROM outbox_message AS message USING oldest WHERE message.id = oldest.id RETURNING 1
    )
    SELECT (SELECT count(*) FROM messages), (SELECT count(*) FROM attempts)
"""


@dataclass(frozen=True)
class Purged:
    """The number of deleted rows."""

    messages: int = 0
    attempts: int = 0


def purge_outbox(
    *,
    now: datetime,
    older_than_hours: float,
    stopping: Callable[[], bool] = lambda: False,
    on_batch: Callable[[int], object] = lambda _count: None,
) -> Purged:
    """Delete messages sent more than `older_than_hours` before `now`, with the log of their calls.

    Also deletes messages of subscriptions that were parked more than WEBHOOK_PARKED_DAYS before `now`. Works in
    batches, each committed by itself; `on_batch` receives the size of each, and `stopping` is called between them.
    Raises django.db.Error if the database fails; finished batches stay deleted.
    """
    steps = [(PURGE, now - timedelta(hours=older_than_hours))]
    if settings.WEBHOOK_PARKED_DAYS:
        steps.append((PURGE_PARKED, now - timedelta(days=settings.WEBHOOK_PARKED_DAYS)))
    purged = Purged()
    while steps and not stopping():
        messages, attempts = _purge_batch(*steps[0])
        if not messages:
            del steps[0]
            continue
        purged = Purged(purged.messages + messages, purged.attempts + attempts)
        on_batch(messages)
    return purged


class HourlyPurge:
    """The purge of a long-running process: at its start and then once an hour."""

    def __init__(self) -> None:
        self._next_at = time.monotonic()

    def run_if_due(self, *, stopping: Callable[[], bool]) -> None:
        """Purge according to `OUTBOX_RETENTION_HOURS` if an hour has passed since the last run.

        A started batch is finished. If the database fails, the next attempt is in an hour.
        """
        if not settings.OUTBOX_RETENTION_HOURS or time.monotonic() < self._next_at:
            return
        self._next_at = time.monotonic() + HOUR_SECONDS
        hours = settings.OUTBOX_RETENTION_HOURS
        try:
            purged = purge_outbox(now=timezone.now(), older_than_hours=hours, stopping=stopping)
        except DatabaseFailure as error:
            logger.warning("The outbox could not be purged: %s", error)
            connection.close()
            return
        if purged.messages:
            logger.info("Purged %d messages and %d delivery attempts", purged.messages, purged.attempts)


def _purge_batch(statement: str, before: datetime) -> tuple[int, int]:
    with transaction.atomic():
        # The lock is a separate statement, so that the next one's snapshot includes what other processes have purged.
        sql.fetch_one(TAKE_TURN)
        row = sql.fetch_one(statement, {"before": before, "limit": BATCH_SIZE})
    messages, attempts = row or (0, 0)
    return messages, attempts
