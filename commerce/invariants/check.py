"""Checks all invariants in one snapshot of a running shop. The rules are defined in the modules beside this one."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from django.db import transaction

from commerce.core import sql
from commerce.invariants.coupons import COUPONS
from commerce.invariants.events import EVENTS
from commerce.invariants.ledger import LEDGER_UNALTERED
from commerce.invariants.locks import LOCKS_EXPIRE
from commerce.invariants.money import MONEY
from commerce.invariants.orders import ORDERS
from commerce.invariants.reservations import RESERVATIONS
from commerce.invariants.rule import Invariant, Violation
from commerce.invariants.stock import STOCK

INVARIANTS: tuple[Invariant, ...] = (*MONEY, *ORDERS, *STOCK, *RESERVATIONS, *COUPONS, *EVENTS)
EXAMPLES = 10
IDLE_SECONDS = 10.0
"""Longer than any request may last."""
ACCOUNTS_AT_ONCE = 5_000
"""Accounts whose ledgers are hashed in one statement: enough to be fast, few enough to show progress."""


@dataclass(frozen=True)
class Accounts:
    """The accounts with ids from `first` to `last`, both inclusive."""

    first: int
    last: int


EVERY_ACCOUNT = Accounts(-(2**63), 2**63 - 1)


def invariants(*, quiet_system: bool) -> Sequence[Invariant]:
    """The rules to check. While the shop is in use, rules that require all events to be processed are left out.

    `LEDGER_UNALTERED`, which hashes the whole ledger, is not included; `altered_ledgers` checks it.
    """
    return [invariant for invariant in INVARIANTS if quiet_system or not invariant.only_when_quiet]


def meanings() -> dict[str, str]:
    """The description of each rule, by name."""
    return {rule.name: rule.meaning for rule in (*INVARIANTS, LEDGER_UNALTERED, LOCKS_EXPIRE)}


@contextmanager
def snapshot() -> Iterator[None]:
    """One read-only snapshot of the database for all rules. It does not block writers.

    The timeouts that protect requests are disabled for this transaction, because rules take longer on a large shop.
    """
    with transaction.atomic(durable=True):
        sql.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        sql.execute("SET LOCAL statement_timeout = 0")
        sql.execute("SET LOCAL idle_in_transaction_session_timeout = 0")
        yield


def violation_of(
    invariant: Invariant, *, idle_seconds: float = IDLE_SECONDS, accounts: Accounts = EVERY_ACCOUNT
) -> Violation | None:
    """The violation of a rule, with up to `EXAMPLES` cases, or None. Runs in the current transaction."""
    rows = sql.fetch_all(
        f"SELECT *, count(*) OVER () FROM ({invariant.query}) AS violation (subject, finding)"  # noqa: S608  # our own text
        f" ORDER BY subject, finding LIMIT {EXAMPLES}",
        {"idle_seconds": idle_seconds, "first_account": accounts.first, "last_account": accounts.last},
    )
    if not rows:
        return None
    # The window function repeats the total count in every row.
    (_, _, count), *_ = rows
    return Violation(invariant, count, [f"{subject}: {finding}" for subject, finding, _ in rows])


def altered_ledgers(
    *, on_progress: Callable[[int], object] = lambda accounts: None, at_once: int = ACCOUNTS_AT_ONCE
) -> Violation | None:
    """The violation of `LEDGER_UNALTERED`. Checked in ranges of accounts, so that memory use does not grow.

    `on_progress` is called with the number of accounts that were checked since the last call.
    """
    count = 0
    examples: list[str] = []
    for accounts, size in _parts(at_once):
        if violation := violation_of(LEDGER_UNALTERED, accounts=accounts):
            count += violation.count
            examples += violation.examples
        on_progress(size)
    return Violation(LEDGER_UNALTERED, count, examples[:EXAMPLES]) if count else None


def number_of_accounts() -> int:
    """The number of accounts in the current snapshot."""
    row = sql.fetch_one('SELECT count(*) FROM "user"')
    return int(row[0]) if row else 0


def _parts(at_once: int) -> Iterator[tuple[Accounts, int]]:
    """Consecutive ranges of ids, including those of deleted accounts, and the number of accounts in each."""
    first = EVERY_ACCOUNT.first
    while True:
        row = sql.fetch_one(
            'SELECT max(id), count(*) FROM (SELECT id FROM "user" WHERE id >= %s ORDER BY id LIMIT %s) AS part',
            [first, at_once],
        )
        last, size = row or (None, 0)
        if last is None or size < at_once:
            yield Accounts(first, EVERY_ACCOUNT.last), size
            return
        yield Accounts(first, last), size
        first = last + 1
