"""What is done with the statistics: events are counted, days are recomputed.

Owns the transactions around both; never knows where events come from.
"""

from collections.abc import Callable, Sequence
from datetime import date, timedelta

from django.db import transaction

from commerce.core import sql
from stats import operations
from stats.events import OrderEvent
from stats.operations import DayComparison

# A day may hold a million orders; the time limits of a request are not for it.
WITHOUT_TIME_LIMITS = "SELECT set_config('statement_timeout', '0', true), set_config('lock_timeout', '0', true)"


def count_order_events(*, events: Sequence[OrderEvent]) -> int:
    """Count every event once, all or none, and return how many had not been counted before.

    Raises django.db.Error, in particular IntegrityError for a product that does not exist.
    """
    with transaction.atomic(durable=True):
        return operations.count_orders(events)


def backfill_product_stats(
    *,
    from_date: date,
    to_date: date,
    dry_run: bool,
    on_day: Callable[[date, DayComparison], object] = lambda day, comparison: None,
) -> list[DayComparison]:
    """Set the statistics of the days from `from_date` to `to_date`, both inclusive, to what the orders say.

    Each day is one transaction of its own, so an interrupted run has finished some days and touched no other; exact
    while orders flow. `dry_run` changes nothing. `on_day` hears of each day when it is done.

    Raises ValueError where the last day lies before the first.
    """
    days = (to_date - from_date).days + 1
    if days < 1:
        raise ValueError(f"{to_date} lies before {from_date}.")
    comparisons = []
    for day in (from_date + timedelta(days=number) for number in range(days)):
        with transaction.atomic(durable=True):
            sql.fetch_one(WITHOUT_TIME_LIMITS)
            comparison = operations.compare_day(day) if dry_run else operations.recompute_day(day)
        on_day(day, comparison)
        comparisons.append(comparison)
    return comparisons
