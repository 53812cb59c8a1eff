"""The numbers of waiting, parked and sent messages by destination."""

from dataclasses import dataclass
from datetime import datetime

from commerce.core import sql
from commerce.core.pipeline import Rows, Statement
from commerce.outbox.routes import is_switched_on
from commerce.outbox.sinks.base import known_destinations

COUNTS = """
    SELECT destination,
           count(*) FILTER (WHERE sent_at IS NULL AND parked_at IS NULL),
           count(*) FILTER (WHERE parked_at IS NOT NULL AND sent_at IS NULL),
           count(*) FILTER (WHERE sent_at IS NOT NULL),
           extract(epoch FROM now() - min(created_at) FILTER (WHERE sent_at IS NULL AND parked_at IS NULL))::float8
    FROM outbox_message
    GROUP BY destination
"""

MOST_COUNTED = 10_000

# Does not read sent messages: each part uses the beginning of a partial index on waiting or parked ones.
BACKLOG = """
    SELECT asked.name, waiting.messages, waiting.since, parked.messages, parked.since
    FROM unnest(%s::text[]) WITH ORDINALITY AS asked (name, place)
    CROSS JOIN LATERAL (
        SELECT count(*), (array_agg(created_at ORDER BY id))[1] FROM (
            SELECT id, created_at FROM outbox_message
            WHERE destination = asked.name AND sent_at IS NULL AND parked_at IS NULL
            ORDER BY id LIMIT %s::bigint
        ) AS message
    ) AS waiting (messages, since)
    LEFT JOIN (
        SELECT destination, count(*), min(parked_at) FROM (
            SELECT destination, parked_at FROM outbox_message
            WHERE parked_at IS NOT NULL AND sent_at IS NULL
            ORDER BY parked_at LIMIT %s::bigint
        ) AS message GROUP BY destination
    ) AS parked (destination, messages, since) ON parked.destination = asked.name
    ORDER BY asked.place
"""


@dataclass(frozen=True)
class Backlog:
    """The undelivered messages of one destination: numbers of waiting and parked ones, and the oldest times.

    Counts stop at `MOST_COUNTED`, which then means that many or more. The times are None if there is no message.
    """

    destination: str
    switched_on: bool
    waiting: int
    waiting_since: datetime | None
    parked: int
    parked_since: datetime | None


@dataclass(frozen=True)
class DestinationStatus:
    """One destination's messages. `oldest_waiting_seconds` is None while nothing waits."""

    destination: str
    switched_on: bool
    waiting: int = 0
    parked: int = 0
    sent: int = 0
    oldest_waiting_seconds: float | None = None


def switched_on_destinations() -> list[str]:
    return [destination for destination in known_destinations() if is_switched_on(destination)]


def outbox_status() -> list[DestinationStatus]:
    """The status of every destination that has a sink, and of every other one with waiting messages."""
    counts = {row[0]: row[1:] for row in sql.fetch_all(COUNTS)}
    return [
        DestinationStatus(destination, is_switched_on(destination), *counts.get(destination, ()))
        for destination in dict.fromkeys([*known_destinations(), *sorted(counts)])
    ]


def backlogs() -> list[Backlog]:
    """The backlog of every active destination, and of every other one with undelivered messages. One query."""
    return backlogs_in(sql.fetch_all(BACKLOG, [list(known_destinations()), MOST_COUNTED, MOST_COUNTED]))


def backlog_statement(*, most_counted: int) -> Statement:
    """The query of `backlogs`, for connections other than Django's."""
    count = b"%d" % most_counted
    return Statement(BACKLOG, (b"{%s}" % ",".join(known_destinations()).encode(), count, count))


def backlogs_in(rows: Rows) -> list[Backlog]:
    """The backlogs from the rows of that query."""
    found = [
        Backlog(name, is_switched_on(name), waiting, waiting_since, parked or 0, parked_since)
        for name, waiting, waiting_since, parked, parked_since in rows
    ]
    return [each for each in found if each.switched_on or each.waiting or each.parked]
