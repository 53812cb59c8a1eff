"""Verifies the shop's tables by SQL: the writes match the responses, and all messages are delivered.

Reads only. A difference raises WrongAnswer, which fails the run.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import LiteralString

import psycopg

from benchmarks.errors import BenchmarkFailed, WrongAnswer
from benchmarks.wrk import Report

BUSY = 503
"""The response of an overloaded shop: an error of the line, whose goal is then missed, but not a wrong answer."""
_QUIET_SECONDS = 0.3
_POLL_SECONDS = 0.1
_ANSWER_SECONDS = 120.0
_TABLES = ("idempotency_key", "user_balance_tx", "order", "order_item", "user_coupon", "stock_movement")

_ANSWERED = """
    SELECT count(*) FROM idempotency_key
    WHERE id > %(idempotency_key)s AND key LIKE %(key)s AND status = %(status)s
      AND (%(code)s::text IS NULL OR convert_from(body, 'UTF8')::jsonb ->> 'code' = %(code)s)
"""
_WAITING = "SELECT count(*) FROM outbox_message WHERE sent_at IS NULL AND parked_at IS NULL"
_UNCOUNTED = """
    SELECT count(*) FROM "order" AS purchase WHERE id > %(order)s
        AND NOT EXISTS (
            SELECT FROM processed_event WHERE event_id =
                'order-completed:' || purchase.id || ':' || trunc(extract(epoch FROM purchase.created_at) * 1000000)
            OFFSET 0
        )
"""
_AT_WORK = """
    SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()
        AND backend_type = 'client backend' AND state <> 'idle'
"""
REFUSAL = "refusal"
"""A request that only writes its stored response."""
# Number of rows that each successful request must have written, by kind of request.
EFFECTS: Mapping[str, Mapping[str, LiteralString]] = {
    "charge": {
        "ledger entries": "SELECT count(*) FROM user_balance_tx WHERE id > %(user_balance_tx)s AND type = 'CHARGE'",
    },
    "order": {
        "orders": 'SELECT count(*) FROM "order" WHERE id > %(order)s',
        "payments": "SELECT count(*) FROM user_balance_tx WHERE id > %(user_balance_tx)s AND type = 'PAYMENT'",
        "orders with all their items": """
            SELECT count(*) FROM (SELECT order_id FROM order_item WHERE id > %(order_item)s
                                  GROUP BY order_id HAVING count(*) = %(items)s) AS whole
        """,
        "sold items": """
            SELECT count(*) / %(items)s FROM stock_movement WHERE id > %(stock_movement)s AND reason = 'SALE'
        """,
    },
    "issue": {
        "coupons held": "SELECT count(*) FROM user_coupon WHERE id > %(user_coupon)s",
        "units counted as issued": "SELECT issued_count FROM coupon WHERE id = %(coupon)s",
    },
    REFUSAL: {
        "orders": 'SELECT count(*) FROM "order" WHERE id > %(order)s',
        "coupons held": "SELECT count(*) FROM user_coupon WHERE id > %(user_coupon)s",
        "ledger entries": "SELECT count(*) FROM user_balance_tx WHERE id > %(user_balance_tx)s",
    },
}


@dataclass(frozen=True, kw_only=True)
class Expected:
    """The expected effect of a load on the shop.

    Attributes:
        effect: one of EFFECTS.
        key: the prefix of the idempotency keys of its requests.
        status: the expected status of all requests.
        connections: the largest number of requests that were running when the generator stopped and got no response.
        code: of the problem, if they must be refused.
        items: of each order. coupon: the one that was issued.
    """

    effect: str
    key: str
    status: int
    connections: int
    code: str | None = None
    items: int = 0
    coupon: int = 0


def number(connection: psycopg.Connection, statement: str, values: Mapping[str, object] | None = None) -> int:
    """The number that a statement returns."""
    rows = connection.execute(statement.encode(), values).fetchall()
    return int(rows[0][0])


class Books:
    """The tables of one shop."""

    def __init__(self, connection: psycopg.Connection) -> None:
        self._connection = connection

    def marks(self) -> dict[str, int]:
        """The highest id of each table. Rows with a higher id were written later."""
        return {table: self._number(f'SELECT coalesce(max(id), 0) FROM "{table}"') for table in _TABLES}  # noqa: S608

    def wait_until_answered(self) -> None:
        """Wait until no request is running: no response was stored for 0.3 s, and no session was active.

        Raises BenchmarkFailed after two minutes.
        """
        deadline = time.monotonic() + _ANSWER_SECONDS
        before, since = -1, time.monotonic()
        while time.monotonic() - since < _QUIET_SECONDS:
            now = self._number("SELECT coalesce(max(id), 0) FROM idempotency_key")
            if now != before or self._number(_AT_WORK):
                before, since = now, time.monotonic()
            if time.monotonic() > deadline:
                raise BenchmarkFailed("Requests are still under way two minutes after the load has ended.")
            time.sleep(_POLL_SECONDS / 2)

    def wait_until_delivered(self, marks: Mapping[str, int], *, seconds: float) -> float:
        """Wait until all messages are delivered and all orders are counted; returns the duration in seconds.

        Raises BenchmarkFailed if dispatcher or consumer need longer than `seconds`.
        """
        began = time.monotonic()
        while (waiting := self.waiting()) or (uncounted := self.uncounted(marks)):
            if time.monotonic() - began > seconds:
                left = f"{waiting} messages wait" if waiting else f"{uncounted} orders are not counted"
                raise BenchmarkFailed(f"{left} {seconds:.0f} s after the load has ended.")
            time.sleep(_POLL_SECONDS)
        return time.monotonic() - began

    def waiting(self) -> int:
        """The number of undelivered messages."""
        return self._number(_WAITING)

    def uncounted(self, marks: Mapping[str, int]) -> int:
        """The number of orders since the marks that are not in the statistics."""
        return self._number(_UNCOUNTED, marks)

    def verify(self, line: str, expected: Expected, report: Report, marks: Mapping[str, int]) -> int:
        """Compare the responses of the clients with the rows. Returns the number of answered requests.

        Raises WrongAnswer.
        """
        usual = (expected.status, BUSY)
        unexpected = {status: count for status, count in report.statuses.items() if status not in usual}
        if unexpected or report.failed:
            raise WrongAnswer(
                line, f"expected {expected.status} only, got {unexpected}, {report.failed} without answer"
            )
        counts = self._counts(expected, marks)
        answered = counts.pop("answers")
        seen = report.with_status(expected.status)
        if not seen <= answered <= seen + expected.connections:
            raise WrongAnswer(line, f"{seen} were answered {expected.status}, {answered} answers are kept")
        due = 0 if expected.effect == REFUSAL else answered
        for name, written in counts.items():
            if written != due:
                raise WrongAnswer(line, f"{answered} requests were answered {expected.status}, {name}: {written}")
        if not answered:
            raise WrongAnswer(line, "no request was answered")
        return answered

    def _counts(self, expected: Expected, marks: Mapping[str, int]) -> dict[str, int]:
        """Count stored responses and their writes in one statement, so that running requests cause no difference."""
        values = {
            **marks,
            "key": f"{expected.key}-%",
            "status": expected.status,
            "code": expected.code,
            "items": expected.items,
            "coupon": expected.coupon,
        }
        statements = {"answers": _ANSWERED, **EFFECTS[expected.effect]}
        together = f"SELECT {', '.join(f'({statement})' for statement in statements.values())}"
        row = self._connection.execute(together.encode(), values).fetchall()[0]
        return {name: int(count) for name, count in zip(statements, row, strict=True)}

    def _number(self, statement: str, values: Mapping[str, object] | None = None) -> int:
        return number(self._connection, statement, values)
