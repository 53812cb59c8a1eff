"""Metrics that are read from the database, for Prometheus, whenever `/metrics` is requested.

Uses the connection of the probes, so that no request has to wait for a connection.
"""

from collections.abc import Iterator, Sequence
from datetime import datetime

from django.utils import timezone
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from commerce.core.pipeline import Rows, Statement
from commerce.outbox.status import backlog_statement, backlogs_in
from commerce.server import health

MOST_COUNTED = 100_000
"""The largest number that is counted, so that the queries stay fast during a long outage."""

_COUNT = b"%d" % MOST_COUNTED
_DEAD_LETTERS = Statement(
    "SELECT count(*) FROM (SELECT FROM dead_letter WHERE replayed_at IS NULL LIMIT %s::bigint) AS letter", (_COUNT,)
)
_BOOKS = Statement("SELECT holds, extract(epoch FROM checked_at)::float8 FROM invariant_check ORDER BY id DESC LIMIT 1")
# Clients can send any application name, so names of other programs are combined into one.
_WEBHOOKS = Statement("""
    SELECT count(*) FILTER (WHERE is_active AND failing_since IS NULL),
           count(*) FILTER (WHERE is_active AND failing_since IS NOT NULL),
           count(*) FILTER (WHERE ended_for IN ('failing', 'gone')),
           coalesce(max(extract(epoch FROM now() - failing_since)) FILTER (WHERE is_active), 0)::float8
    FROM webhook_subscription WHERE ended_for <> 'removed'
""")
_CONNECTIONS = Statement("""
    SELECT CASE WHEN starts_with(application_name, 'commerce-') THEN application_name ELSE 'other' END,
           coalesce(state, 'unknown'), count(*), count(*) FILTER (WHERE wait_event_type = 'Lock'),
           coalesce(max(extract(epoch FROM clock_timestamp() - xact_start)), 0)::float8
    FROM pg_stat_activity
    WHERE datname = current_database() AND backend_type = 'client backend' AND pid <> pg_backend_pid()
    GROUP BY 1, 2
""")
_MOST_CONNECTIONS = Statement(
    "SELECT current_setting('max_connections')::integer - current_setting('superuser_reserved_connections')::integer"
)


class ShopFigures(Collector):
    """The metrics of the whole shop, the same in each process that serves `/metrics`."""

    def describe(self) -> list[GaugeMetricFamily]:
        """All metrics that `collect` may yield, without values."""
        return [
            *_database_families(),
            *_outbox_families(),
            *_webhook_families(),
            _books_holds(),
            _books_checked(),
            _dead_letters(),
        ]

    def collect(self) -> Iterator[GaugeMetricFamily]:
        up = _database_up()
        statements = [backlog_statement(most_counted=MOST_COUNTED), _DEAD_LETTERS, _BOOKS, _WEBHOOKS, _CONNECTIONS]
        try:
            backlog, letters, books, [webhooks], sessions, [[most]] = health.figures.run(
                [*statements, _MOST_CONNECTIONS]
            )
        except health.UNAVAILABLE:
            # Unknown values are omitted: a 0 would mean that nothing is waiting.
            up.add_metric([], 0)
            yield up
            return
        up.add_metric([], 1)
        yield up
        yield from _outbox(backlog)
        yield from _webhooks(*webhooks)
        yield from _books(books)
        dead_letters = _dead_letters()
        dead_letters.add_metric([], letters[0][0])
        yield dead_letters
        yield from _database(sessions, most)


def _database_up() -> GaugeMetricFamily:
    return GaugeMetricFamily("commerce_database_up", "Whether PostgreSQL answered when it was asked for these figures")


def _dead_letters() -> GaugeMetricFamily:
    return GaugeMetricFamily(
        "commerce_dead_letters", "Messages from Kafka that could not be counted and wait for staff"
    )


def _books_holds() -> GaugeMetricFamily:
    return GaugeMetricFamily("commerce_books_hold", "1 where the last check_invariants found the books right, else 0")


def _books_checked() -> GaugeMetricFamily:
    return GaugeMetricFamily("commerce_books_checked_timestamp_seconds", "When that check began, in unix seconds")


def _outbox_families() -> list[GaugeMetricFamily]:
    by = ["destination"]
    return [
        GaugeMetricFamily("commerce_outbox_waiting", f"Messages that wait, at most {MOST_COUNTED}", labels=by),
        GaugeMetricFamily(
            "commerce_outbox_oldest_waiting_seconds", "How long the oldest of them has waited", labels=by
        ),
        GaugeMetricFamily("commerce_outbox_parked", f"Messages given up to staff, at most {MOST_COUNTED}", labels=by),
    ]


def _webhook_families() -> list[GaugeMetricFamily]:
    return [
        GaugeMetricFamily(
            "commerce_webhook_subscriptions",
            "Webhook subscriptions: `active`, `failing` (the last call failed), `ended` (off because they failed)",
            labels=["state"],
        ),
        GaugeMetricFamily(
            "commerce_webhook_longest_failing_seconds",
            "For how long the active subscription that fails longest has failed",
        ),
    ]


def _webhooks(active: int, failing: int, ended: int, longest_seconds: float) -> Sequence[GaugeMetricFamily]:
    families = subscriptions, longest = _webhook_families()
    for state, count in (("active", active), ("failing", failing), ("ended", ended)):
        subscriptions.add_metric([state], count)
    longest.add_metric([], longest_seconds)
    return families


def _database_families() -> list[GaugeMetricFamily]:
    by = ["application", "state"]
    return [
        _database_up(),
        GaugeMetricFamily("commerce_database_connections", "Sessions of the shop's database", labels=by),
        GaugeMetricFamily("commerce_database_connections_most", "How many sessions the server allows the shop"),
        GaugeMetricFamily("commerce_database_waiting_for_lock", "Sessions that wait for a lock of another one"),
        GaugeMetricFamily("commerce_database_oldest_transaction_seconds", "How long the oldest transaction has run"),
    ]


def _outbox(rows: Rows) -> Sequence[GaugeMetricFamily]:
    families = waiting, oldest, parked = _outbox_families()
    now = timezone.now()
    for each in backlogs_in(rows):
        waiting.add_metric([each.destination], each.waiting)
        oldest.add_metric([each.destination], _age_seconds(each.waiting_since, now))
        parked.add_metric([each.destination], each.parked)
    return families


def _age_seconds(since: datetime | None, now: datetime) -> float:
    return 0.0 if since is None else max(0.0, (now - since).total_seconds())


def _books(rows: Rows) -> Iterator[GaugeMetricFamily]:
    """Yields nothing if there has not been a check yet."""
    for holds, checked_at in rows:
        verdict, checked = _books_holds(), _books_checked()
        verdict.add_metric([], int(holds))
        checked.add_metric([], checked_at)
        yield verdict
        yield checked


def _database(rows: Rows, most: int) -> Iterator[GaugeMetricFamily]:
    _, connections, limit, waiting, oldest = _database_families()
    wait_for_locks, oldest_seconds = 0, 0.0
    for application, state, count, waiting_count, transaction_seconds in rows:
        connections.add_metric([application, state], count)
        wait_for_locks += waiting_count
        oldest_seconds = max(oldest_seconds, transaction_seconds)
    limit.add_metric([], most)
    waiting.add_metric([], wait_for_locks)
    oldest.add_metric([], oldest_seconds)
    yield from (connections, limit, waiting, oldest)
