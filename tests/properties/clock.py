"""A clock that stands still until a test moves it.

Owns the time of every use case, which all ask `timezone.now`; never that of locks, tokens and servers.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, time, timedelta
from unittest import mock

from django.utils import timezone

INSTANT = timedelta(microseconds=1)


class Clock:
    """Called like `timezone.now`."""

    def __init__(self, now: datetime) -> None:
        self.now = now

    def __call__(self) -> datetime:
        return self.now

    def next_midnight(self) -> datetime:
        """Of the shop's zone."""
        tomorrow = timezone.localdate(self.now) + timedelta(days=1)
        return timezone.make_aware(datetime.combine(tomorrow, time.min))


@contextmanager
def stopped_at(now: datetime) -> Iterator[Clock]:
    """For the shop it is `now` until the clock that this yields is moved."""
    clock = Clock(now)
    with mock.patch.object(timezone, "now", clock):
        yield clock
