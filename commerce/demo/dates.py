"""The days of a demo shop's history. The last one is today."""

from datetime import UTC, date, datetime, time, timedelta

from django.utils import timezone


class Calendar:
    """`days` days in the shop's time zone. Day 0 is the first; the last one ends at `now`."""

    def __init__(self, days: int, now: datetime) -> None:
        self.now = now
        today = timezone.localdate(now)
        self.dates = [today - timedelta(days=days - 1 - day) for day in range(days)]
        self._starts = [_midnight(date) for date in self.dates]
        ends = [*self._starts[1:], now]
        self._seconds = [(end - start).total_seconds() for start, end in zip(self._starts, ends, strict=True)]

    def at(self, day: int, share_of_day: float) -> datetime:
        """The time, in UTC, at a share from 0 to 1 of `day`, or for the last day of its elapsed part."""
        return self._starts[day] + timedelta(seconds=self._seconds[day] * share_of_day)


def _midnight(day: date) -> datetime:
    # In UTC, because arithmetic in a time zone ignores its clock changes.
    return timezone.make_aware(datetime.combine(day, time.min)).astimezone(UTC)
