"""A clock that only moves when a test moves it.

It sets the time of use cases, which all call `timezone.now`, but not of locks, tokens and servers.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, time, timedelta
from unittest import mock

from django.utils import timezone

INSTANT = timedelta(microseconds=1)


class Clock:
    """Replaces `timezone.now`."""

    def __init__(self, now: datetime) -> None:
        self.now = now

    def __call__(self) -> datetime:
        return self.now

    def next_midnight(self) -> datetime:
        """In the shop's time zone."""
        tomorrow = timezone.localdate(self.now) + timedelta(days=1)
        return timezone.make_aware(datetime.combine(tomorrow, time.min))


@contextmanager
def stopped_at(now: datetime) -> Iterator[Clock]:
    """The shop's time is `now` until the yielded clock is moved."""
    clock = Clock(now)
    with mock.patch.object(timezone, "now", clock):
        yield clock
