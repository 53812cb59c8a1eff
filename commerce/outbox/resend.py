"""Another chance for messages: parked ones, and what a destination says it never got.

Owns which messages may go again; the dispatcher parks and sends them. The event's id, and so its `Idempotency-Key`, is
the same for every send.
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

# What was sent goes again only where no order is promised: elsewhere it would arrive after what followed it.
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

# By id upwards, so that a message which is parked again meanwhile does not come round again.
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
    """Let the dispatcher try these messages afresh, and return the destination of each that is tried.

    Parked ones, and for destinations without an order sent ones too; all others are left as they are. The last error
    stays to be read until the next attempt. What `by` does is recorded message by message; None stands for a program.
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
    """Let the dispatcher try parked messages afresh, and return how many; None stands for every one.

    In batches, each in a statement of its own, and `on_batch` gets how many each had. What another process puts
    back at the same moment is left to it.
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
