"""Messages that waited in vain.

Owns giving them another chance; the dispatcher parks and sends them.
"""

from collections.abc import Collection

from commerce.core import sql

SEND_AGAIN = """
    UPDATE outbox_message SET parked_at = NULL, attempts = 0, next_attempt_at = now()
    WHERE id = ANY(%s) AND parked_at IS NOT NULL AND sent_at IS NULL
"""


def send_again(message_ids: Collection[int]) -> int:
    """Let the dispatcher try these parked messages afresh, and return how many that were.

    Messages that are not parked are left as they are. The last error stays to be read until the next attempt.
    """
    return sql.execute(SEND_AGAIN, [list(message_ids)])
