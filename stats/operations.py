"""The statements on `product_stat`, `processed_event` and `dead_letter`, inside the caller's transaction."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from django.db import DataError, IntegrityError, transaction
from django.db.models.functions import Now

from commerce.core import sql
from commerce.core.transaction import as_json
from commerce.outbox.publish import event_id_sql
from orders.events import ORDER_CANCELLED, ORDER_COMPLETED, ORDER_REFUNDED
from stats.errors import DayIsFinal
from stats.events import OrderEvent
from stats.models import DeadLetter

# Counting takes the lock shared, recomputing a day takes it exclusively: an event is then either in the recomputed
# numbers and recorded as counted, or neither.
COUNTING = "product-stats:counting"
COUNT_WITH_OTHERS = "SELECT pg_advisory_xact_lock_shared(hashtextextended(%s, 0))"
COUNT_ALONE = "SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))"

# Every event before this moment has been counted, with or without a row. A repeat of such an event, from Kafka or a
# dead letter, is recognized by the time in its id.
COUNTED_UNTIL = "coalesce((SELECT moment FROM counted_until), '-infinity')"
_TIME_OF = "timestamptz 'epoch' + split_part(event_id, ':', 3)::bigint * interval '1 microsecond'"

# Sorted, so that two consumers with the same events cannot deadlock.
RECORD_EVENTS = f"""
    INSERT INTO processed_event (event_id)
    SELECT event_id FROM jsonb_array_elements_text(%s::jsonb) AS received (event_id)
    WHERE CASE WHEN event_id ~ '^[^:]+:[0-9]+:[0-9]+$' THEN {_TIME_OF} >= {COUNTED_UNTIL} ELSE true END
    ORDER BY event_id
    ON CONFLICT DO NOTHING
    RETURNING event_id
"""  # noqa: S608  # our own text

# The oldest fact since the last such moment whose event has no row. Rows may be added meanwhile but not removed, so
# consumers need not be locked out.
OLDEST_UNCOUNTED = f"""
    SELECT min(happened_at) FROM (
        SELECT {{completed}} AS event_id, created_at AS happened_at FROM "order" WHERE completed_at IS NOT NULL
        UNION ALL
        SELECT {{cancelled}}, cancelled_at FROM "order" WHERE cancelled_at IS NOT NULL
        UNION ALL
        SELECT {{refunded}}, created_at FROM refund
    ) AS fact
    WHERE happened_at >= {COUNTED_UNTIL} AND happened_at < %s
      AND NOT EXISTS (SELECT FROM processed_event WHERE processed_event.event_id = fact.event_id)
"""  # noqa: S608  # our own text

MOVE_COUNTED_UNTIL = """
    INSERT INTO counted_until (id, moment) VALUES (1, %s)
    ON CONFLICT (id) DO UPDATE SET moment = greatest(counted_until.moment, EXCLUDED.moment)
    RETURNING moment
"""

FORGET_COUNTED = f"""
    DELETE FROM processed_event WHERE event_id = ANY(ARRAY(
        SELECT event_id FROM processed_event
        WHERE processed_at < {COUNTED_UNTIL}
          AND CASE WHEN event_id ~ '^[^:]+:[0-9]+:[0-9]+$' THEN {_TIME_OF} < {COUNTED_UNTIL} ELSE false END
        ORDER BY processed_at LIMIT %s FOR UPDATE SKIP LOCKED
    ))
"""  # noqa: S608  # our own text

# Orders of these days may have been archived, so statistics of these days are not compared with orders any more.
MAKE_FINAL = """
    INSERT INTO final_until (id, day, moment) VALUES (1, %s, %s)
    ON CONFLICT (id) DO UPDATE SET day = greatest(final_until.day, EXCLUDED.day),
                                   moment = greatest(final_until.moment, EXCLUDED.moment)
"""

ADD_UNITS = """
    INSERT INTO product_stat (product_id, date, quantity_sold)
    SELECT product_id, date, quantity
    FROM jsonb_to_recordset(%s::jsonb) AS counted (product_id bigint, date date, quantity bigint)
    ORDER BY date, product_id
    ON CONFLICT (date, product_id) DO UPDATE SET quantity_sold = product_stat.quantity_sold + EXCLUDED.quantity_sold
"""

_COMPLETED = event_id_sql(ORDER_COMPLETED, "id", "created_at")
_CANCELLED = event_id_sql(ORDER_CANCELLED, "id", "cancelled_at")
_REFUNDED = event_id_sql(ORDER_REFUNDED, "refund.id", "refund.created_at")
OLDEST_UNCOUNTED = OLDEST_UNCOUNTED.format(completed=_COMPLETED, cancelled=_CANCELLED, refunded=_REFUNDED)

# A database restored from a backup lacks later orders whose events are still in Kafka. An order of a final day may have
# been archived with its refunds; all its events had been counted by then, also those of a cancellation or a refund on a
# much later day.
KNOWN_FACTS = f"""
    WITH received AS (
        SELECT * FROM jsonb_to_recordset(%s::jsonb) AS received (event_id text, source_id bigint, day date)
    )
    SELECT event_id FROM received
    JOIN "order" ON id = source_id AND (event_id = {_COMPLETED} OR event_id = {_CANCELLED})
    UNION ALL
    SELECT event_id FROM received JOIN refund ON refund.id = source_id AND event_id = {_REFUNDED}
    UNION ALL
    SELECT event_id FROM received
    WHERE day <= (SELECT day FROM final_until)
      AND CASE WHEN event_id ~ '^[^:]+:[0-9]+:[0-9]+$' THEN {_TIME_OF} < {COUNTED_UNTIL} ELSE false END
"""  # noqa: S608  # our own text

# Otherwise foreign keys are checked at COMMIT, too late to know which event violates one.
CHECK_AT_ONCE = "SET CONSTRAINTS ALL IMMEDIATE"

_LONGEST_REASON = 1_000
_LETTERS_AT_ONCE = 100

# One statement has one snapshot: exactly the orders that are counted have their events recorded.
# The cost depends on the day's orders only, not on the size of the tables: the ids of the day's orders bound the items
# that are read, and OFFSET 0 keeps the planner from hashing all of `processed_event`.
_DAY = f"""
    WITH placed AS (
        SELECT id, status, created_at, cancelled_at FROM "order"
        WHERE ordered_date = %(day)s AND status IN ('COMPLETED', 'CANCELLED', 'REFUNDED')
    ), sold AS (
        SELECT product_id, sum(quantity - refunded_quantity) AS quantity
        FROM order_item JOIN placed ON placed.id = order_item.order_id
        WHERE placed.status <> 'CANCELLED'
          AND order_item.order_id BETWEEN (SELECT min(id) FROM placed) AND (SELECT max(id) FROM placed)
        GROUP BY product_id
    ), stat AS (
        SELECT product_id, quantity_sold FROM product_stat WHERE date = %(day)s
    ), difference AS (
        SELECT product_id, coalesce(quantity_sold, 0) AS counted, coalesce(quantity, 0)::bigint AS correct
        FROM sold FULL JOIN stat USING (product_id)
        WHERE coalesce(quantity_sold, 0) <> coalesce(quantity, 0)
    ), due AS (
        SELECT {_COMPLETED} AS event_id FROM placed WHERE created_at >= {COUNTED_UNTIL}
        UNION ALL
        SELECT {_CANCELLED} FROM placed WHERE status = 'CANCELLED' AND cancelled_at >= {COUNTED_UNTIL}
        UNION ALL
        SELECT {_REFUNDED} FROM refund JOIN placed ON placed.id = refund.order_id
        WHERE refund.created_at >= {COUNTED_UNTIL}
          AND refund.order_id BETWEEN (SELECT min(id) FROM placed) AND (SELECT max(id) FROM placed)
    ), unrecorded AS (
        SELECT event_id FROM due
        WHERE NOT EXISTS (SELECT FROM processed_event WHERE processed_event.event_id = due.event_id OFFSET 0)
    )
"""  # noqa: S608  # our own text
_ANSWER = """
    SELECT product_id, counted, correct, (SELECT count(*) FROM unrecorded)
    FROM (VALUES (1)) AS always LEFT JOIN difference ON true
    ORDER BY product_id
"""
_CORRECT = """
    , recorded AS (
        INSERT INTO processed_event (event_id) SELECT event_id FROM unrecorded
    ), corrected AS (
        INSERT INTO product_stat (product_id, date, quantity_sold)
        SELECT product_id, %(day)s, correct FROM difference
        ON CONFLICT (date, product_id) DO UPDATE SET quantity_sold = EXCLUDED.quantity_sold
    )
"""
COMPARE_DAY = _DAY + _ANSWER
RECOMPUTE_DAY = _DAY + _CORRECT + _ANSWER
# The same statement for each day of a range, in one snapshot.
_EACH_DAY = """
    SELECT days.day, compared.*
    FROM (
        SELECT each::date AS day FROM generate_series(%(first)s::date, %(last)s::date, interval '1 day') AS each
    ) AS days CROSS JOIN LATERAL ("""
_IN_ORDER = ") AS compared ORDER BY days.day, compared.product_id"
COMPARE_DAYS = _EACH_DAY + COMPARE_DAY.replace("%(day)s", "days.day") + _IN_ORDER


@dataclass(frozen=True, slots=True)
class Difference:
    """Units of one product on one day: as counted, and according to the orders."""

    product_id: int
    day: date
    counted: int
    correct: int


@dataclass(frozen=True)
class DayComparison:
    """The differences of one day, and the number of its events that were not counted yet."""

    differences: tuple[Difference, ...]
    events_recorded: int

    @property
    def units_counted(self) -> int:
        """Counted units of the products that differ."""
        return sum(difference.counted for difference in self.differences)

    @property
    def units_correct(self) -> int:
        """Units of the products that differ, according to the orders."""
        return sum(difference.correct for difference in self.differences)


def unknown_facts(events: Mapping[str, OrderEvent]) -> list[str]:
    """The names of events whose order, cancellation or refund is not in this database."""
    if not events:
        return []
    rows = [{"event_id": event.event_id, "source_id": event.source_id, "day": event.day} for event in events.values()]
    known = {row[0] for row in sql.fetch_all(KNOWN_FACTS, [_as_json(rows)])}
    return [name for name, event in events.items() if event.event_id not in known]


def count_orders(events: Sequence[OrderEvent]) -> int:
    """Add the units of every event that has not been counted before, and return the number of these events.

    A repeat changes nothing, within `events` and across calls. An event that violates a constraint raises
    IntegrityError or DataError, here or at COMMIT.
    """
    if not events:
        return 0
    by_id = {event.event_id: event for event in events}
    sql.execute(COUNT_WITH_OTHERS, [COUNTING])
    new_ids = [row[0] for row in sql.fetch_all(RECORD_EVENTS, [_as_json(list(by_id))])]
    units: dict[tuple[date, int], int] = defaultdict(int)
    for event_id in new_ids:
        event = by_id[event_id]
        for product_id, quantity in event.units.items():
            units[event.day, product_id] += quantity
    changed = [
        {"product_id": product_id, "date": day, "quantity": quantity}
        for (day, product_id), quantity in units.items()
        if quantity
    ]
    if changed:
        sql.execute(ADD_UNITS, [_as_json(changed)])
    return len(new_ids)


def count_orders_that_fit(events: Sequence[tuple[str, OrderEvent]]) -> tuple[int, dict[str, str]]:
    """`count_orders` for named events, leaving out those that violate a constraint.

    Returns the number of counted events, and by name the reasons for those left out. A failing batch is split in halves
    recursively until the failing events are found.
    """
    try:
        with transaction.atomic():
            sql.execute(CHECK_AT_ONCE)
            return count_orders([event for _, event in events]), {}
    except (IntegrityError, DataError) as error:
        if len(events) == 1:
            return 0, {events[0][0]: str(error)}
    middle = len(events) // 2
    first, first_misfits = count_orders_that_fit(events[:middle])
    second, second_misfits = count_orders_that_fit(events[middle:])
    return first + second, first_misfits | second_misfits


def oldest_uncounted(*, before: datetime) -> datetime | None:
    """The time of the oldest fact before `moment` whose event is not counted; None if all are."""
    row = sql.fetch_one(OLDEST_UNCOUNTED, [before])
    moment: datetime | None = row[0] if row else None
    return moment


def move_counted_until(moment: datetime) -> datetime:
    """Record that every event before `moment` has been counted, and return the stored moment.

    Waits for consumers that are counting: they use the previous moment, and rows may be deleted only after they finish.
    """
    sql.execute(COUNT_ALONE, [COUNTING])
    [(moved,)] = sql.fetch_all(MOVE_COUNTED_UNTIL, [moment])
    return moved  # type: ignore[no-any-return]  # what the statement returns


def forget_counted(*, most: int) -> int:
    """Delete a batch of the oldest rows before the moment of `move_counted_until`; returns how many."""
    return sql.execute(FORGET_COUNTED, [most])


def make_final(*, day: date, moment: datetime) -> None:
    """Record that orders of days up to `day`, placed up to `moment`, may be archived.

    The caller holds `COUNTING` shared, so that no day is being recomputed.
    """
    sql.execute(MAKE_FINAL, [day, moment])


def require_not_final(first: date) -> None:
    """Raises DayIsFinal if orders of `first` may have been archived."""
    row = sql.fetch_one("SELECT day FROM final_until")
    if row and first <= row[0]:
        raise DayIsFinal(row[0])


def park(letters: Sequence[DeadLetter]) -> None:
    """Store dead letters. One that is stored already, with the same position and payload, is unchanged."""
    for letter in letters:
        letter.reason = _storable(letter.reason)
    DeadLetter.objects.bulk_create(letters, batch_size=_LETTERS_AT_ONCE, ignore_conflicts=True)


def mark_replayed(letter_id: int, *, refused: str | None) -> None:
    """Record the replay of a dead letter: counted, or refused with a new reason."""
    waiting = DeadLetter.objects.filter(pk=letter_id, replayed_at=None)
    if refused is None:
        waiting.update(replayed_at=Now())
    else:
        waiting.update(reason=_storable(refused))


def recompute_day(day: date) -> DayComparison:
    """Set every product's units of `day` to the sum of its orders.

    The events of exactly these orders are recorded as counted, so events still in flight add nothing. Waits for running
    counts and blocks counting until the transaction ends. Raises DayIsFinal.
    """
    sql.execute(COUNT_ALONE, [COUNTING])
    require_not_final(day)
    return _comparison(day, RECOMPUTE_DAY)


def compare_day(day: date) -> DayComparison:
    """What `recompute_day` would change now. Read-only. Raises DayIsFinal."""
    require_not_final(day)
    return _comparison(day, COMPARE_DAY)


def compare_days(first: date, last: date) -> dict[date, DayComparison]:
    """`compare_day` for each day from `first` to `last`, both inclusive, in one statement."""
    require_not_final(first)
    rows_of: dict[date, list[tuple[Any, ...]]] = defaultdict(list)
    for day, *row in sql.fetch_all(COMPARE_DAYS, {"first": first, "last": last}):
        rows_of[day].append(tuple(row))
    return {day: _read(day, rows) for day, rows in rows_of.items()}


def _comparison(day: date, statement: str) -> DayComparison:
    return _read(day, sql.fetch_all(statement, {"day": day}))


def _read(day: date, rows: Sequence[tuple[Any, ...]]) -> DayComparison:
    differences = tuple(
        Difference(product_id, day, counted, correct)
        for product_id, counted, correct, _ in rows
        if product_id is not None
    )
    return DayComparison(differences, rows[0][3])


def _as_json(rows: Sequence[Any]) -> str:
    """The rows as one JSON parameter, because psycopg would adapt each element of an array."""
    return as_json(rows).decode()


def _storable(reason: str) -> str:
    """Truncate to about a page, remove NUL and escape lone surrogates, which PostgreSQL refuses."""
    return reason[:_LONGEST_REASON].encode(errors="backslashreplace").decode().replace("\0", "")
