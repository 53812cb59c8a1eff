"""The days that a demo shop has lived through, the last of which is today.

Owns how a day and a share of it become an instant; never decides what happens then.
"""

from datetime import UTC, date, datetime, time, timedelta

from django.utils import timezone


class Calendar:
    """`days` of the shop's days. Day 0 is the first; of the last only the part until `now` has passed."""

    def __init__(self, days: int, now: datetime) -> None:
        self.now = now
        today = timezone.localdate(now)
        self.dates = [today - timedelta(days=days - 1 - day) for day in range(days)]
        self._starts = [_midnight(date) for date in self.dates]
        ends = [*self._starts[1:], now]
        self._seconds = [(end - start).total_seconds() for start, end in zip(self._starts, ends, strict=True)]

    def at(self, day: int, share_of_day: float) -> datetime:
        """The instant, in UTC, at a share from 0 to 1 of the part of `day` that has passed."""
        return self._starts[day] + timedelta(seconds=self._seconds[day] * share_of_day)


def _midnight(day: date) -> datetime:
    # In UTC, because arithmetic in a zone ignores its changes of the clock.
    return timezone.make_aware(datetime.combine(day, time.min)).astimezone(UTC)
