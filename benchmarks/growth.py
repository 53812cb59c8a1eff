"""The lines of growth: a large shop compared with a small one, and a recount of all statistics compared with SQL.

Only in full runs, because the large shop takes minutes to create.
"""

import time
from collections.abc import Sequence
from dataclasses import replace
from functools import partial

import psycopg

from benchmarks.bench import Bench, require_all
from benchmarks.errors import WrongAnswer
from benchmarks.large import LISTS, ROOMY_CUSTOMERS, ROOMY_PRODUCTS
from benchmarks.line import Goal, Line
from benchmarks.sample import Sample
from benchmarks.wrk import Report, run

_CONNECTIONS = 4
# The same rows for the same orders, in tables with the same structure.
_BARE_TABLES = """
    DROP TABLE IF EXISTS bare_stat, bare_event;
    CREATE TABLE bare_stat (LIKE product_stat INCLUDING ALL);
    CREATE TABLE bare_event (LIKE processed_event INCLUDING ALL)
"""
_BARE_EVENTS = """
    INSERT INTO bare_event (event_id)
    SELECT 'order-completed:' || id || ':' || trunc(extract(epoch FROM created_at) * 1000000)
    FROM "order" WHERE completed_at IS NOT NULL
    UNION ALL
    SELECT 'order-cancelled:' || id || ':' || trunc(extract(epoch FROM cancelled_at) * 1000000)
    FROM "order" WHERE cancelled_at IS NOT NULL
    UNION ALL
    SELECT 'order-refunded:' || id || ':' || trunc(extract(epoch FROM created_at) * 1000000) FROM refund
"""
_BARE_STATS = """
    INSERT INTO bare_stat (product_id, date, quantity_sold)
    SELECT product_id, ordered_date, sum(quantity - refunded_quantity)
    FROM "order" AS purchase JOIN order_item ON order_id = purchase.id
    WHERE status IN ('COMPLETED', 'REFUNDED') GROUP BY product_id, ordered_date
"""
_DIFFERENCES = """
    WITH stat AS (
        SELECT product_id, date, quantity_sold FROM product_stat WHERE quantity_sold <> 0
    ), bare AS (
        SELECT product_id, date, quantity_sold FROM bare_stat WHERE quantity_sold <> 0
    )
    SELECT (SELECT count(*) FROM (TABLE stat EXCEPT TABLE bare) AS only_there)
         + (SELECT count(*) FROM (TABLE bare EXCEPT TABLE stat) AS only_here),
           (SELECT count(*) FROM processed_event FULL JOIN bare_event USING (event_id)
            WHERE processed_event.event_id IS NULL OR bare_event.event_id IS NULL)
"""


def list_at_any_depth(bench: Bench, *, name: str, large: bool) -> Sample:
    """The 95th percentile in ms, over pages at all depths."""
    shop = bench.large_shop if large else bench.small_shop
    pages = shop.pages(name)
    load = replace(
        bench.load(shop.web.port, "pages", _CONNECTIONS, {"BENCH_PAGES": str(pages.path)}),
        tokens=bench.tokens_of(pages.highest_customer),
        customers=pages.highest_customer,
    )
    # Not measured: every thread of the web server opens its database connection.
    run(replace(load, seconds=1))
    report = run(load)
    require_all(f"growth:{name}", report, 200)
    return _waits(report, pages=pages.count, orders=shop.orders, ledger_entries=shop.rows)


def _waits(report: Report, **notes: int) -> Sample:
    return Sample(
        value=report.p95_ms,
        p50_ms=report.p50_ms,
        p95_ms=report.p95_ms,
        p99_ms=report.p99_ms,
        requests=report.requests,
        notes=notes,
    )


def write_at_size(bench: Bench, *, script: str, large: bool) -> Sample:
    """The 95th percentile in ms of charges or orders by the first customers of the shop."""
    shop = bench.large_shop if large else bench.small_shop
    shop.make_room()
    load = replace(
        bench.load(shop.web.port, script, _CONNECTIONS, {"BENCH_PRODUCTS": str(ROOMY_PRODUCTS)}),
        tokens=bench.tokens_of(ROOMY_CUSTOMERS),
        customers=ROOMY_CUSTOMERS,
    )
    run(replace(load, seconds=1, key=bench.new_key()))
    report = run(load)
    require_all(f"growth:{script}", report, 200)
    return _waits(report, orders=shop.orders, ledger_entries=shop.rows)


def backfill(bench: Bench) -> Sample:
    """Seconds of `backfill_product_stats` for all days, with no day counted before."""
    shop = bench.large_shop
    days = shop.connection.execute('SELECT min(ordered_date)::text, max(ordered_date)::text FROM "order"').fetchone()
    first, last = days or ("", "")
    shop.connection.execute("TRUNCATE product_stat, processed_event")
    began = time.monotonic()
    shop.backfill(first, last)
    return Sample(value=time.monotonic() - began, requests=shop.orders)


def bare_sql(bench: Bench) -> Sample:
    """Seconds of the two statements that write the same rows. Raises WrongAnswer if the rows differ."""
    return Sample(value=recount_by_bare_sql(bench.large_shop.connection))


def recount_by_bare_sql(connection: psycopg.Connection) -> float:
    """Count all orders into separate tables and return the seconds. Raises WrongAnswer if the shop's rows differ."""
    connection.execute(_BARE_TABLES.encode())
    began = time.monotonic()
    with connection.transaction():
        connection.execute(_BARE_EVENTS)
        connection.execute(_BARE_STATS)
    took_seconds = time.monotonic() - began
    statistics, events = connection.execute(_DIFFERENCES).fetchone() or (0, 0)
    if statistics or events:
        raise WrongAnswer("growth:backfill", f"{statistics} statistics and {events} events differ from bare SQL")
    return took_seconds


def lines() -> Sequence[Line]:
    lists = [
        Line(
            key=f"growth:{name}",
            title=f"{name} at any depth, large shop: p95",
            unit="ms",
            ours=partial(list_at_any_depth, name=name, large=True),
            limit=partial(list_at_any_depth, name=name, large=False),
            limit_title="the same in a small shop",
            goal=Goal(ratio_at_most=1.3),
            writes=False,
            full_only=True,
        )
        for name in LISTS
    ]
    writes = [
        Line(
            key=f"growth:{script}",
            title=f"{script} in a large shop: p95",
            unit="ms",
            ours=partial(write_at_size, script=script, large=True),
            limit=partial(write_at_size, script=script, large=False),
            limit_title="the same in a small shop",
            goal=Goal(ratio_at_most=1.3),
            writes=False,
            full_only=True,
        )
        for script in ("charge", "order")
    ]
    recount = Line(
        key="growth:backfill",
        title="recount of all orders",
        unit="s",
        ours=backfill,
        limit=bare_sql,
        limit_title="bare SQL that writes the same rows",
        goal=Goal(ratio_at_most=1.3),
        writes=False,
        rounds_at_most=2,
        full_only=True,
    )
    return [*lists, *writes, recount]
