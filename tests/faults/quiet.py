"""Waits until the system is idle: every message delivered, every order counted.

The judge checks whether the result is correct.
"""

import time
from collections.abc import Callable

from commerce.core import sql
from commerce.outbox.publish import event_id_sql

LONGEST_SECONDS = 120.0
_LOOK_SECONDS = 0.1

_COMPLETED = event_id_sql("order-completed", "id", "created_at")
_CANCELLED = event_id_sql("order-cancelled", "id", "cancelled_at")
_REFUNDED = event_id_sql("order-refunded", "id", "created_at")
UNDER_WAY = f"""
    SELECT (SELECT count(*) FROM outbox_message WHERE sent_at IS NULL AND parked_at IS NULL),
           (SELECT count(*) FROM (
                SELECT {_COMPLETED} AS event_id FROM "order" WHERE completed_at IS NOT NULL
                UNION ALL
                SELECT {_CANCELLED} FROM "order" WHERE cancelled_at IS NOT NULL
                UNION ALL
                SELECT {_REFUNDED} FROM refund
            ) AS due
            WHERE NOT EXISTS (SELECT FROM processed_event WHERE processed_event.event_id = due.event_id))
"""  # noqa: S608  # our own text


def under_way() -> tuple[int, int]:
    """The number of undelivered messages and of uncounted order events."""
    row = sql.fetch_one(UNDER_WAY)
    assert row is not None
    return row[0], row[1]


def wait_for_quiet(*, patience_seconds: float, pause: Callable[[float], None]) -> float | None:
    """Return how many seconds it took until nothing was under way.

    None where nothing has moved for `patience_seconds`, or after two minutes: what is left then will not arrive.
    `pause` waits, and starts again meanwhile what ends by itself: an outage may end a process after it is over.
    """
    began = moved_at = time.monotonic()
    last = under_way()
    while any(last):
        now = time.monotonic()
        if now - moved_at > patience_seconds or now - began > LONGEST_SECONDS:
            return None
        pause(_LOOK_SECONDS)
        current = under_way()
        if current != last:
            last, moved_at = current, now
    return time.monotonic() - began
