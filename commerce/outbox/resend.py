"""Queueing messages again: parked ones, and sent ones that a destination reports as missing.

The event's id, and so its `Idempotency-Key`, is the same for every delivery.
"""

from collections.abc import Callable, Collection

from django.db import transaction
from django.utils.translation import gettext_noop

from commerce.audit.record import Staff, record
from commerce.core import sql
from commerce.outbox.models import OutboxMessage
from commerce.outbox.routes import WITHOUT_ORDER

BATCH_SIZE = 1_000

SENT_AGAIN = gettext_noop("Sent again")

# Sent messages are sent again only to destinations without a guaranteed order: elsewhere they would arrive after later
# ones.
SEND_AGAIN = """
    WITH before AS MATERIALIZED (
        SELECT id, sent_at, parked_at, attempts FROM outbox_message
        WHERE id = ANY(%(message_ids)s::bigint[])
          AND (sent_at IS NULL AND parked_at IS NOT NULL
               OR sent_at IS NOT NULL AND destination = ANY(%(without_order)s::text[]))
        ORDER BY id
        FOR UPDATE
    )
    UPDATE outbox_message AS message
    SET sent_at = NULL, parked_at = NULL, attempts = 0, next_attempt_at = now(), resent_at = now()
    FROM before WHERE message.id = before.id
    RETURNING message.id, message.destination, before.sent_at, before.parked_at, before.attempts
"""

# By ascending id, so that a message that is parked again meanwhile is not selected twice.
RETRY_PARKED = """
    WITH next AS MATERIALIZED (
        SELECT id FROM outbox_message
        WHERE parked_at IS NOT NULL AND sent_at IS NULL AND id > %(after)s
          AND (%(destination)s::text IS NULL OR destination = %(destination)s::text)
          AND (%(event_ids)s::text[] IS NULL OR event_id = ANY(%(event_ids)s::text[])
               OR split_part(event_id, ':', 1) || ':' || split_part(event_id, ':', 2) = ANY(%(event_ids)s::text[]))
        ORDER BY id
        LIMIT %(limit)s
        FOR UPDATE SKIP LOCKED
    )
    UPDATE outbox_message AS message
    SET parked_at = NULL, attempts = 0, next_attempt_at = now(), resent_at = now()
    FROM next WHERE message.id = next.id
    RETURNING message.id
"""


def send_again(message_ids: Collection[int], *, by: Staff | None) -> list[str]:
    """Queue these messages again, and return the destination of each queued one.

    Parked messages, and for destinations without a guaranteed order sent ones too; others are unchanged. The last error
    stays until the next attempt. An audit record is written for each message if `by` is given; None: a command.
    """
    with transaction.atomic():
        rows = sql.fetch_all(SEND_AGAIN, {"message_ids": list(message_ids), "without_order": list(WITHOUT_ORDER)})
        if by is not None:
            for message_id, _destination, sent_at, parked_at, attempts in rows:
                record(
                    by,
                    SENT_AGAIN,
                    OutboxMessage(id=message_id),
                    before={"sent_at": sent_at, "parked_at": parked_at, "attempts": attempts},
                    after={"sent_at": None, "parked_at": None, "attempts": 0},
                )
    return [destination for _id, destination, *_before in rows]


def retry_parked(
    *,
    destination: str | None = None,
    event_ids: Collection[str] | None = None,
    on_batch: Callable[[int], object] = lambda _count: None,
) -> int:
    """Queue parked messages again, and return how many; None: all of them.

    Works in batches, each a statement of its own; `on_batch` receives the size of each. Messages that another process
    is queueing are left to it.
    """
    last, count = 0, 0
    while True:
        rows = sql.fetch_all(
            RETRY_PARKED,
            {
                "after": last,
                "destination": destination,
                "event_ids": None if event_ids is None else list(event_ids),
                "limit": BATCH_SIZE,
            },
        )
        if not rows:
            return count
        last = max(message_id for (message_id,) in rows)
        count += len(rows)
        on_batch(len(rows))
