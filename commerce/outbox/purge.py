"""Forgetting what has arrived.

Owns the order and the size of the steps; never touches a message that waits, nor one that is parked, save
those that subscriptions of third parties have missed.
"""

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

# One batch at a time in the whole shop: two at once could remove newer messages before older ones. The one that waits
# waits for one batch.
TAKE_TURN = "SELECT pg_advisory_xact_lock(hashtextextended('outbox:purge', 0))"

# The oldest first, because the books are checked against what is kept: every fact that is younger than the oldest
# delivery must still have its message (`facts_have_messages`). The rows are locked first, so that one that staff send
# again at this moment is kept together with its log.
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

# What was given up for a subscription is the third party's loss, which staff may make good for a while. No book is
# checked against it, so the order is of no matter.
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
    """How much has been forgotten."""

    messages: int = 0
    attempts: int = 0


def purge_outbox(
    *,
    now: datetime,
    older_than_hours: float,
    stopping: Callable[[], bool] = lambda: False,
    on_batch: Callable[[int], object] = lambda _count: None,
) -> Purged:
    """Delete what was sent more than `older_than_hours` before `now`, with the log of its calls.

    And what was given up for a subscription more than WEBHOOK_PARKED_DAYS before `now`; nothing else that is parked.
    In batches, each committed by itself; `on_batch` gets how many messages each had, and `stopping` is asked
    between them. Raises django.db.Error where the database fails; the batches before are gone then.
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
    """The purge of a process that runs for long: at its start and then once an hour."""

    def __init__(self) -> None:
        self._next_at = time.monotonic()

    def run_if_due(self, *, stopping: Callable[[], bool]) -> None:
        """Purge what `OUTBOX_RETENTION_HOURS` says, if an hour has passed; a batch in hand is finished.

        Without the database it is put off by an hour: nothing depends on it.
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
        # In a statement of its own, so that the next one sees what the others purged before our turn.
        sql.fetch_one(TAKE_TURN)
        row = sql.fetch_one(statement, {"before": before, "limit": BATCH_SIZE})
    messages, attempts = row or (0, 0)
    return messages, attempts
