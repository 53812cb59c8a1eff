"""Asking all invariants of one moment of a live shop.

Owns the snapshot and the list of rules; the rules themselves stand beside this module.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from django.db import transaction

from commerce.core import sql
from commerce.invariants.coupons import COUPONS
from commerce.invariants.events import EVENTS
from commerce.invariants.money import MONEY
from commerce.invariants.orders import ORDERS
from commerce.invariants.rule import Invariant, Violation
from commerce.invariants.stock import STOCK

INVARIANTS: tuple[Invariant, ...] = (*MONEY, *ORDERS, *STOCK, *COUPONS, *EVENTS)
EXAMPLES = 10
IDLE_SECONDS = 10.0
"""No request lasts longer."""


def invariants(*, quiet_system: bool) -> Sequence[Invariant]:
    """The rules to ask: all of a quiet system, those without facts under way of a live one."""
    return [invariant for invariant in INVARIANTS if quiet_system or not invariant.only_when_quiet]


@contextmanager
def snapshot() -> Iterator[None]:
    """One moment of the database for all rules: readers hold up no writer, and cannot write.

    The time limits that protect requests are lifted for this transaction alone: on a large shop a rule takes longer.
    """
    with transaction.atomic(durable=True):
        sql.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        sql.execute("SET LOCAL statement_timeout = 0")
        sql.execute("SET LOCAL idle_in_transaction_session_timeout = 0")
        yield


def violation_of(invariant: Invariant, *, idle_seconds: float = IDLE_SECONDS) -> Violation | None:
    """What breaks the rule, with up to `EXAMPLES` cases; None where it holds. Asked of the current transaction."""
    rows = sql.fetch_all(
        f"SELECT *, count(*) OVER () FROM ({invariant.query}) AS violation (subject, finding)"  # noqa: S608  # our own text
        f" ORDER BY subject LIMIT {EXAMPLES}",
        {"idle_seconds": idle_seconds},
    )
    if not rows:
        return None
    return Violation(invariant, rows[0][2], [f"{subject}: {finding}" for subject, finding, _ in rows])
