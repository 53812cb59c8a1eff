"""Helpers of the HTTP sinks: the duration of a call, and the `Retry-After` header."""

import time
from email.utils import parsedate_to_datetime

from django.utils import timezone

from commerce.outbox.sinks.base import Call

_LONGEST_RETRY_AFTER_SECONDS = 3_600.0


class Clock:
    """The start and the duration of a call."""

    def __init__(self) -> None:
        self._started_at = timezone.now()
        self._started = time.monotonic()

    def call(self, http_status: int | None = None) -> Call:
        return Call(self._started_at, round((time.monotonic() - self._started) * 1_000), http_status)


def retry_after_seconds(header: str) -> float:
    """The seconds of a `Retry-After` header in either form, at most an hour; 0.0 if it is invalid."""
    if header.isascii() and header.isdigit():
        seconds = float(header)
    else:
        try:
            seconds = (parsedate_to_datetime(header) - timezone.now()).total_seconds()
        except (ValueError, TypeError, OverflowError):
            # TypeError: a date without a time zone. OverflowError: a year of twenty digits.
            return 0.0
    return min(max(seconds, 0.0), _LONGEST_RETRY_AFTER_SECONDS)
