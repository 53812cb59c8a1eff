"""What is done with the statistics: events are counted, dead letters tried again, days compared and recomputed.

Owns the transactions around all of it, and the counters and log lines of what was counted; never knows where events
come from.
"""

import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from enum import StrEnum

from django.db import DataError, IntegrityError, OperationalError, transaction
from django.utils.translation import gettext_noop

from commerce.audit.record import Staff, record
from commerce.core import metrics, sql
from commerce.core.locks import locked_transaction
from commerce.core.postgresql.base import long_statements
from commerce.idempotency.commit import Idempotency
from stats import operations
from stats.errors import TooMuchToRecount, UnreadableEvent
from stats.events import OrderEvent, read_order_event
from stats.models import DeadLetter, ProductStat
from stats.operations import DayComparison

logger = logging.getLogger(__name__)

# A day may hold a million orders; the time limits of a request are not for it.
WITHOUT_TIME_LIMITS = "SELECT set_config('statement_timeout', '0', true), set_config('lock_timeout', '0', true)"

REBUILT = gettext_noop("Rebuilt a day of the statistics")
REPLAYED = gettext_noop("Replayed")

FORGOTTEN_AT_ONCE = 1_000
MOST_DAYS_COMPARED = 31
"""Of a million orders a year, about as many as a request can read again."""

OUT_OF_TIME = {"57014", "55P03"}
"""PostgreSQL's codes for a statement, and for a wait for a lock, that took too long."""

Reasons = Mapping[str, str]
"""Why messages cannot be counted, by the name that the caller gave each."""


@dataclass(frozen=True)
class Counted:
    """What became of a batch: events counted now, events that had been counted before, messages that were left out."""

    events: int
    repeats: int
    left_out: Reasons


class Replay(StrEnum):
    """What became of a dead letter that was tried again."""

    COUNTED = "counted"
    REPEATED = "repeated"
    """Its event had been counted in another way, such as by a backfill."""
    REFUSED = "refused"
    """It still cannot be counted."""
    DONE = "done"
    """It had been replayed before."""
    UNKNOWN = "unknown"
    """There is no such letter."""


@dataclass(frozen=True)
class Replayed:
    """One attempt at a dead letter. `reason` is empty unless it was refused."""

    outcome: Replay
    reason: str = ""


def _nothing(reasons: Reasons) -> None:
    """The messages that are left out are somebody else's to keep."""


def count_messages(*, payloads: Mapping[str, bytes], park: Callable[[Reasons], object] = _nothing) -> Counted:
    """Count the event in each payload once, and leave out what cannot be counted; it never stops the rest.

    `payloads` go by names that an operator understands. `park` is called inside the transaction with the reasons of
    what is left out, so that it is kept exactly when the rest is counted.

    Raises django.db.Error where the database is away; nothing is counted or parked then.
    """
    events, left_out = _read(payloads)
    for name in operations.unknown_facts(events):
        left_out[name] = f"This database has no such fact: {events.pop(name).event_id}"
    try:
        with transaction.atomic(durable=True):
            new = operations.count_orders(list(events.values()))
            park(left_out)
        counted = Counted(new, len(events) - new, left_out)
    except (IntegrityError, DataError):
        # One of them does not fit the tables, such as a product that never existed. Which one takes a second attempt.
        counted = _count_what_fits(events, left_out, park)
    _report(counted)
    return counted


@dataclass(frozen=True)
class Forgotten:
    """How many rows of counted events were deleted; `held_up_at`: when the fact happened whose event is not counted."""

    events: int
    held_up_at: datetime | None = None


def forget_counted(
    *,
    before: datetime,
    stopping: Callable[[], bool] = lambda: False,
    on_batch: Callable[[int], object] = lambda _count: None,
) -> Forgotten:
    """Delete the rows of events before that moment, once all of them are proved to be counted.

    From then on every such event counts as counted, by the time in its id. Where one is not counted (a dead letter, a
    consumer that lags) only what is older than it goes. In batches, each a transaction of its own; may run at the same
    time as itself and as everything that counts. Raises django.db.Error where the database fails.
    """
    with long_statements(), transaction.atomic(durable=True):
        sql.fetch_one(WITHOUT_TIME_LIMITS)
        held_up_at = operations.oldest_uncounted(before=before)
    with transaction.atomic(durable=True):
        operations.move_counted_until(held_up_at or before)
    forgotten = 0
    while not stopping() and (count := operations.forget_counted(most=FORGOTTEN_AT_ONCE)):
        forgotten += count
        on_batch(count)
    return Forgotten(forgotten, held_up_at)


def replay_dead_letter(*, letter_id: int, by: Staff | None = None) -> Replayed:
    """Try a dead letter again, as if it came in now. Once its event is counted it is done with.

    A letter that is refused again stays, with the new reason. `by`: the member of staff who asks for it, None for a
    command. Raises django.db.Error as `count_messages` does.
    """
    letter = DeadLetter.objects.filter(pk=letter_id).first()
    if letter is None:
        return Replayed(Replay.UNKNOWN)
    if letter.replayed_at is not None:
        return Replayed(Replay.DONE)

    def mark(reasons: Reasons) -> None:
        refused = reasons.get(letter.position)
        operations.mark_replayed(letter.pk, refused=refused)
        if by is not None:
            after = {"replayed": True} if refused is None else {"replayed": False, "reason": refused}
            record(by, REPLAYED, letter, before={"reason": letter.reason}, after=after)

    counted = count_messages(payloads={letter.position: bytes(letter.payload)}, park=mark)
    if counted.left_out:
        return Replayed(Replay.REFUSED, counted.left_out[letter.position])
    return Replayed(Replay.COUNTED if counted.events else Replay.REPEATED)


def backfill_product_stats(
    *,
    from_date: date,
    to_date: date,
    dry_run: bool,
    on_day: Callable[[date, DayComparison], object] = lambda _day, _comparison: None,
) -> None:
    """Set the statistics of the days from `from_date` to `to_date`, both inclusive, to what the orders say.

    Each day is one transaction of its own, so an interrupted run has finished some days and touched no other, and the
    next run finishes the rest; exact while orders flow. `dry_run` changes nothing. `on_day` gets what was found on
    each day when it is done; nothing of it is kept, however many days there are.

    Raises ValueError where the last day lies before the first, DayIsFinal where orders of a day have been archived,
    and django.db.Error where a day fails.
    """
    days = (to_date - from_date).days + 1
    if days < 1:
        raise ValueError(f"{to_date} lies before {from_date}.")
    for day in (from_date + timedelta(days=number) for number in range(days)):
        with long_statements(), transaction.atomic(durable=True):
            sql.fetch_one(WITHOUT_TIME_LIMITS)
            comparison = operations.compare_day(day) if dry_run else operations.recompute_day(day)
        on_day(day, comparison)


def compare_days(*, from_date: date, to_date: date) -> dict[date, DayComparison]:
    """What the orders say of each day from `from_date` to `to_date`, both inclusive, beside the statistics.

    Reads only, and for as long as a request may. Raises ValueError for no day or more than `MOST_DAYS_COMPARED`,
    DayIsFinal where orders of these days have been archived, TooMuchToRecount where the time did not suffice.
    """
    days = (to_date - from_date).days + 1
    if not 1 <= days <= MOST_DAYS_COMPARED:
        raise ValueError(f"{days} days cannot be compared.")
    with _in_time():
        return operations.compare_days(from_date, to_date)


def rebuild_day(*, day: date, by: Staff, idempotency: Idempotency) -> DayComparison:
    """Set the statistics of one day to what the orders say, and return what was wrong; exact while orders flow.

    Nobody counts meanwhile, so it has only the time of a request. Raises DayIsFinal where orders of the day have been
    archived, TooMuchToRecount where the time did not suffice or others went on counting, LockTimeout where the same
    form is at work.
    """
    with _in_time(), locked_transaction(*idempotency.locks) as shared:
        found = operations.recompute_day(day)
        before = {"units": found.units_counted}
        after = {
            "day": day,
            "products": len(found.differences),
            "units": found.units_correct,
            "events": found.events_recorded,
        }
        record(by, REBUILT, ProductStat, before=before, after=after)
        idempotency.remember(shared, found)
    return found


@contextmanager
def _in_time() -> Iterator[None]:
    try:
        yield
    except OperationalError as error:
        if sql.sqlstate(error) in OUT_OF_TIME:
            raise TooMuchToRecount from error
        raise


def _read(payloads: Mapping[str, bytes]) -> tuple[dict[str, OrderEvent], dict[str, str]]:
    """What can be read, and why the rest cannot."""
    events: dict[str, OrderEvent] = {}
    unreadable: dict[str, str] = {}
    for name, payload in payloads.items():
        try:
            events[name] = read_order_event(payload)
        except UnreadableEvent as error:
            unreadable[name] = error.reason
    return events, unreadable


def _count_what_fits(
    events: Mapping[str, OrderEvent], unreadable: Reasons, park: Callable[[Reasons], object]
) -> Counted:
    with transaction.atomic(durable=True):
        new, misfits = operations.count_orders_that_fit(list(events.items()))
        left_out = {**unreadable, **misfits}
        park(left_out)
    return Counted(new, len(events) - len(misfits) - new, left_out)


def _report(counted: Counted) -> None:
    for name, reason in counted.left_out.items():
        logger.error("%s cannot be counted: %s", name, reason)
    metrics.STATS_EVENTS.labels("counted").inc(counted.events)
    metrics.STATS_EVENTS.labels("repeated").inc(counted.repeats)
    metrics.STATS_EVENTS.labels("left_out").inc(len(counted.left_out))
