"""The content of the shop's tables, to show that a refusal has changed nothing."""

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
    "refund",
    "refund_item",
    "outbox_message",
    "delivery_attempt",
    "idempotency_key",
    "processed_event",
    "dead_letter",
    "staff_action",
    "note",
    "saved_view",
)

Rows = dict[str, list[tuple[Any, ...]]]


def shop_state(*, apart_from: tuple[str, ...] = ()) -> Rows:
    """All rows of all tables that a request could change."""
    rows: Rows = {}
    with connection.cursor() as cursor:
        for table in TABLES:
            if table not in apart_from:
                cursor.execute(f'SELECT * FROM "{table}" ORDER BY 1')  # noqa: S608  # a name from the list above
                rows[table] = [tuple(map(_comparable, row)) for row in cursor.fetchall()]
    return rows


@contextmanager
def nothing_changes(*, apart_from: tuple[str, ...] = ()) -> Iterator[None]:
    """Fail if a row of the shop has changed during the block."""
    before = shop_state(apart_from=apart_from)
    yield
    assert shop_state(apart_from=apart_from) == before


@contextmanager
def statements() -> Iterator[list[str]]:
    """The SQL of the block on this thread's connection, including BEGIN and COMMIT."""
    ran: list[str] = []
    with CaptureQueriesContext(connection) as captured:
        yield ran
    ran.extend(" ".join(str(query["sql"]).split()) for query in captured.captured_queries)


def _comparable(value: Any) -> Any:
    return bytes(value) if isinstance(value, memoryview) else value
