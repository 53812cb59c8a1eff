"""Queries do not read dead rows of a steady stream of messages."""

import json
from collections.abc import Iterator

import pytest
from django.utils import timezone

from commerce.core import sql
from commerce.outbox import dispatcher
from commerce.outbox.purge import purge_outbox
from commerce.outbox.results import Verdict, record
from commerce.outbox.routes import KAFKA
from tests.embedded.processes import wait_for

pytestmark = pytest.mark.django_db(transaction=True)

# Four messages per page, without free space for new ones between them.
MANY_KEPT = """
    INSERT INTO outbox_message (event_id, type, aggregate_type, aggregate_id, destination, payload, sent_at)
    SELECT 'coupon-issued:' || number, 'coupon-issued', 'thing', number::text, 'kafka', repeat('x', 1890), now()
    FROM generate_series(1, 9000) AS number
"""
FIVE_HUNDRED_COME = """
    INSERT INTO outbox_message (event_id, type, aggregate_type, aggregate_id, destination, payload)
    SELECT 'coupon-issued:' || number, 'coupon-issued', 'thing', number::text, 'kafka', 'x'
    FROM generate_series(1, 500) AS number
"""
THOUSAND_WERE_SENT = """
    INSERT INTO outbox_message (event_id, type, aggregate_type, aggregate_id, destination, payload, sent_at)
    SELECT 'coupon-issued:' || gen_random_uuid(), 'coupon-issued', 'thing', number::text, 'kafka', repeat('x', 700),
           now() - interval '1 hour'
    FROM generate_series(1, 1000) AS number
"""
# What autovacuum does to a table, with the table's own options. It cuts off empty pages at the end only when nobody
# uses the table at that moment; sizes are compared without it.
VACUUM = "VACUUM (TRUNCATE off) outbox_message"

# A vacuum keeps every row that an open transaction may still see. An earlier test may have left one behind,
# and autovacuum has one while it analyzes any table of the database.
OPEN_TRANSACTIONS = """
    SELECT pid FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid()
      AND (backend_xmin IS NOT NULL OR backend_xid IS NOT NULL)
"""
END_OPEN_TRANSACTIONS = f"SELECT pg_terminate_backend(pid, 5000) FROM ({OPEN_TRANSACTIONS}) AS open"  # noqa: S608  # our own


@pytest.fixture(autouse=True)
def no_autovacuum() -> Iterator[None]:
    sql.execute(END_OPEN_TRANSACTIONS)
    # A new file: rows that an earlier test deleted would leave room in many pages, and vacuum goes by their number.
    sql.execute("TRUNCATE outbox_message CASCADE")
    sql.execute("ALTER TABLE outbox_message SET (autovacuum_enabled = off)")
    yield
    sql.execute("ALTER TABLE outbox_message RESET (autovacuum_enabled)")


def vacuum() -> None:
    wait_for(lambda: not sql.fetch_all(OPEN_TRANSACTIONS))
    sql.execute(VACUUM)


def pages_of_a_look() -> int:
    """The number of pages that the query for waiting messages reads."""
    explain = f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {dispatcher.DUE}"
    [[plan]] = sql.fetch_all(explain, {"destination": KAFKA, "limit": 500})
    [explained] = json.loads(plan) if isinstance(plan, str) else plan
    buffers = explained["Plan"]
    return int(buffers["Shared Hit Blocks"] + buffers["Shared Read Blocks"])


def a_thousand_come_and_go() -> None:
    """Fewer rows than those after which vacuum cleans indexes."""
    sql.execute(MANY_KEPT)
    sql.execute("ANALYZE outbox_message")
    for _ in range(2):
        sql.execute(FIVE_HUNDRED_COME)
        rows = sql.fetch_all(dispatcher.DUE, {"destination": KAFKA, "limit": 500})
        assert len(rows) == 500
        record(KAFKA, [Verdict(row[0]) for row in rows])
    # The first query marks the index entries of dead rows; later ones read only the index.
    pages_of_a_look()


def test_a_vacuum_removes_dead_index_entries() -> None:
    a_thousand_come_and_go()
    assert pages_of_a_look() >= 4
    vacuum()
    assert pages_of_a_look() <= 2


def test_control_with_default_options_it_does_not() -> None:
    a_thousand_come_and_go()
    sql.execute("ALTER TABLE outbox_message RESET (vacuum_index_cleanup)")
    try:
        vacuum()
        assert pages_of_a_look() >= 4
    finally:
        sql.execute("ALTER TABLE outbox_message SET (vacuum_index_cleanup = on)")


def test_autovacuum_starts_at_one_percent_of_the_table() -> None:
    [options] = sql.fetch_one("SELECT reloptions FROM pg_class WHERE oid = 'outbox_message'::regclass") or [[]]
    assert {"autovacuum_vacuum_scale_factor=0.01", "autovacuum_vacuum_threshold=20000"} <= set(options)


def size_after(rounds: int, *, purging: bool) -> int:
    """The size of the table and its indexes in bytes, after so many thousand messages were written, sent and purged."""
    for _ in range(rounds):
        sql.execute(THOUSAND_WERE_SENT)
        if purging:
            assert purge_outbox(now=timezone.now(), older_than_hours=0.5).messages == 1_000
        vacuum()
    [size] = sql.fetch_one("SELECT pg_total_relation_size('outbox_message')") or [0]
    return int(size)


def test_a_purge_makes_room_for_new_messages() -> None:
    # The space of one round is reused two rounds later.
    soon = size_after(3, purging=True)
    assert size_after(12, purging=True) <= 1.5 * soon


def test_control_without_the_purge_the_table_grows() -> None:
    soon = size_after(3, purging=False)
    assert size_after(12, purging=False) > 3 * soon
