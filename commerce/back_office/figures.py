"""Comparison of a period of sales with the previous one. No database access."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from enum import Enum

from django.utils import timezone

from orders.selectors import Sales

PERIODS = (1, 7, 30)
"""Lengths in days, including today."""
MOST_DAYS = 2 * max(PERIODS)
"""The days covered by the longest period and the one before it."""


class Direction(Enum):
    """The direction of a change."""

    UP = "up"
    DOWN = "down"
    SAME = "same"
    FROM_NOTHING = "from-nothing"


@dataclass(frozen=True)
class Change:
    """A change of an amount. `percent` is whole and unsigned; 0 if there is no change or no previous amount."""

    direction: Direction
    percent: int = 0


def change(now: int, before: int) -> Change:
    """The change from `before` to `now`; less than half a percent is no change."""
    if not before:
        return Change(Direction.FROM_NOTHING if now else Direction.SAME)
    percent = round(100 * (now - before) / before)
    if not percent:
        return Change(Direction.SAME)
    return Change(Direction.UP if percent > 0 else Direction.DOWN, abs(percent))


@dataclass(frozen=True)
class Period:
    """The last `days` days up to now, and the `days` days before them, up to the same time of day."""

    first: date
    last: date
    days: int
    now: Sales
    before: Sales

    @property
    def paid(self) -> Change:
        return change(self.now.paid_won, self.before.paid_won)

    @property
    def orders(self) -> Change:
        return change(self.now.orders, self.before.orders)


def days_before(last: date, count: int) -> list[date]:
    """The `count` days up to `last`, inclusive, ascending."""
    return [last - timedelta(days=back) for back in reversed(range(count))]


def same_time_before(now: datetime) -> dict[date, datetime]:
    """The end of each previous period: its last day, and the same time of that day as `now`."""
    here = timezone.localtime(now)
    days = [here.date() - timedelta(days=days) for days in PERIODS]
    return {day: timezone.make_aware(datetime.combine(day, here.time())) for day in days}


def periods(today: date, daily: Mapping[date, Sales], so_far: Mapping[date, Sales]) -> list[Period]:
    """The periods of `PERIODS`, from the sales of whole days and the sales up to `same_time_before`."""

    def total(last: date, count: int) -> Sales:
        return sum((daily.get(day, Sales()) for day in days_before(last, count)), Sales())

    found = []
    for days in PERIODS:
        end = today - timedelta(days=days)
        before = total(end - timedelta(days=1), days - 1) + so_far.get(end, Sales())
        found.append(Period(today - timedelta(days=days - 1), today, days, total(today, days), before))
    return found
