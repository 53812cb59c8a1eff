"""What the shop's tables hold, to show that a refusal left nothing behind.

Owns the list of tables that count; never changes a row.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.db import connection
from django.test.utils import CaptureQueriesContext

TABLES = (
    "user",
    "user_balance_tx",
    "product",
    "stock_movement",
    "reservation",
    "reservation_item",
    "product_stat",
    "coupon",
    "user_coupon",
    "order",
    "order_item",
    "outbox_message",
    "delivery_attempt",
    "idempotency_key",
    "processed_event",
    "dead_letter",
    "staff_action",
    "note",
)

Rows = dict[str, list[tuple[Any, ...]]]


def shop_state(*, apart_from: tuple[str, ...] = ()) -> Rows:
    """Every row of every table that a request could change."""
    rows: Rows = {}
    with connection.cursor() as cursor:
        for table in TABLES:
            if table not in apart_from:
                cursor.execute(f'SELECT * FROM "{table}" ORDER BY 1')  # noqa: S608  # a name from the list above
                rows[table] = [tuple(map(_comparable, row)) for row in cursor.fetchall()]
    return rows


@contextmanager
def nothing_changes(*, apart_from: tuple[str, ...] = ()) -> Iterator[None]:
    """Fails when a row of the shop is not after the block what it was before."""
    before = shop_state(apart_from=apart_from)
    yield
    assert shop_state(apart_from=apart_from) == before


@contextmanager
def statements() -> Iterator[list[str]]:
    """The SQL that the block runs on this thread's connection, BEGIN and COMMIT included."""
    ran: list[str] = []
    with CaptureQueriesContext(connection) as captured:
        yield ran
    ran.extend(" ".join(str(query["sql"]).split()) for query in captured.captured_queries)


def _comparable(value: Any) -> Any:
    return bytes(value) if isinstance(value, memoryview) else value
