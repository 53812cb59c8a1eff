"""What the sinks that speak HTTP read alike: how long a call took, and how long the answer asks to wait.

Owns both readings; never what an answer means.
"""

import time
from email.utils import parsedate_to_datetime

from django.utils import timezone

from commerce.outbox.sinks.base import Call

_LONGEST_RETRY_AFTER_SECONDS = 3_600.0


class Clock:
    """When a call began, and how long it has taken."""

    def __init__(self) -> None:
        self._started_at = timezone.now()
        self._started = time.monotonic()

    def call(self, http_status: int | None = None) -> Call:
        return Call(self._started_at, round((time.monotonic() - self._started) * 1_000), http_status)


def retry_after_seconds(header: str) -> float:
    """The seconds of a `Retry-After`, in either of its forms, an hour at most; 0.0 for what is neither."""
    if header.isascii() and header.isdigit():
        seconds = float(header)
    else:
        try:
            seconds = (parsedate_to_datetime(header) - timezone.now()).total_seconds()
        except (ValueError, TypeError, OverflowError):
            # TypeError for a date without a zone, which says nothing; OverflowError for a year of twenty digits.
            return 0.0
    return min(max(seconds, 0.0), _LONGEST_RETRY_AFTER_SECONDS)
