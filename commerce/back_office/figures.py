"""How a period of sales stands against the one before it.

Owns the arithmetic of periods and percentages; never asks the database, and never formats.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from enum import Enum

from django.utils import timezone

from orders.selectors import Sales

PERIODS = (1, 7, 30)
"""In days, today among them."""
MOST_DAYS = 2 * max(PERIODS)
"""How far back the longest period and the one before it reach."""


class Direction(Enum):
    """Which way an amount has gone."""

    UP = "up"
    DOWN = "down"
    SAME = "same"
    FROM_NOTHING = "from-nothing"


@dataclass(frozen=True)
class Change:
    """An amount against the one before. `percent` is whole and without a sign; 0 where `direction` says enough."""

    direction: Direction
    percent: int = 0


def change(now: int, before: int) -> Change:
    """How `now` stands against `before`; less than half a percent is no change."""
    if not before:
        return Change(Direction.FROM_NOTHING if now else Direction.SAME)
    percent = round(100 * (now - before) / before)
    if not percent:
        return Change(Direction.SAME)
    return Change(Direction.UP if percent > 0 else Direction.DOWN, abs(percent))


@dataclass(frozen=True)
class Period:
    """The last `days` days up to now, and as many before, up to the same time of the day."""

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
    """The `count` days that end with `last`, in order."""
    return [last - timedelta(days=back) for back in reversed(range(count))]


def same_time_before(now: datetime) -> dict[date, datetime]:
    """The days on which the periods before this moment end, each with the moment: the same time of the shop's day."""
    here = timezone.localtime(now)
    days = [here.date() - timedelta(days=days) for days in PERIODS]
    return {day: timezone.make_aware(datetime.combine(day, here.time())) for day in days}


def periods(today: date, daily: Mapping[date, Sales], so_far: Mapping[date, Sales]) -> list[Period]:
    """Each period of `PERIODS`, from the sales of whole days and those of the days in `same_time_before`."""

    def total(last: date, count: int) -> Sales:
        return sum((daily.get(day, Sales()) for day in days_before(last, count)), Sales())

    found = []
    for days in PERIODS:
        end = today - timedelta(days=days)
        before = total(end - timedelta(days=1), days - 1) + so_far.get(end, Sales())
        found.append(Period(today - timedelta(days=days - 1), today, days, total(today, days), before))
    return found
