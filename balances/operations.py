"""Movements of money, inside a transaction that may be shared with other writes.

The statements that lock, read and write accounts and the ledger; the rules are in `rules.Account`. Callers check
permissions.
"""

from collections.abc import Iterable

from django.conf import settings

from balances.errors import UserNotFound
from balances.events import balance_changed
from balances.rules import Account, Entry
from balances.selectors import remember_balances
from commerce.core import metrics
from commerce.core.pipeline import Rows, Statement
from commerce.core.transaction import LockedRows, NewRows, Table, Transaction, array
from commerce.outbox.publish import publish


class Accounts(LockedRows[Account]):
    """The wallets that move."""

    lock_order = 50
    row = Account
    LOCK = """
        SELECT id, balance, ledger_head, is_active FROM "user"
        WHERE id = ANY(%s::bigint[]) ORDER BY id FOR NO KEY UPDATE
    """
    EXIST = 'SELECT id FROM "user" WHERE id = ANY(%s::bigint[])'
    # A delta, not a new value: even without the row lock two payments could not make a balance negative.
    SAVE = """
        UPDATE "user" SET balance = balance + moved, ledger_head = saved.ledger_head
        FROM jsonb_to_recordset(%s::jsonb) AS saved (id bigint, moved bigint, ledger_head bytea)
        WHERE "user".id = saved.id
    """


class Ledger(NewRows):
    """The ledger entries of the movements."""

    SEQUENCE = "user_balance_tx_id_seq"
    INSERT = """
        INSERT INTO user_balance_tx (
            id, user_id, type, amount, balance_after, order_id, created_at, entry_hash, refund_id
        )
        SELECT * FROM jsonb_to_recordset(%s::jsonb) AS added (
            id bigint, user_id bigint, type text, amount bigint, balance_after bigint, order_id bigint,
            created_at timestamptz, entry_hash bytea, refund_id bigint
        )
    """

    def committed(self) -> None:
        metrics.noted.extend([(metrics.add_money[entry.type], abs(entry.amount)) for entry in self.rows])
        remember_balances(self.rows)


class OpenAccounts(Table):
    """Which accounts exist and are open, for writes that do not touch their wallets."""

    def __init__(self) -> None:
        self._wanted: dict[int, None] = {}
        self._open: set[int] = set()

    def want(self, ids: Iterable[int]) -> None:
        self._wanted.update(dict.fromkeys(ids))

    def require(self, user_id: int) -> None:
        """Raises UserNotFound."""
        if user_id not in self._open:
            raise UserNotFound(user_id)

    def read(self) -> Statement | None:
        if not self._wanted:
            return None
        return Statement('SELECT id FROM "user" WHERE id = ANY(%s::bigint[]) AND is_active', (array(self._wanted),))

    def accept(self, rows: Rows) -> None:
        self._open = {row[0] for row in rows}


def will_move(transaction: Transaction, user_id: int) -> None:
    """Load what the movements below need."""
    transaction[Accounts].want((user_id,))
    transaction[Ledger].reserve(1)


def deposit(transaction: Transaction, *, user_id: int, amount: int) -> Entry:
    """Add `amount` won (above zero) that the customer charged. Raises UserNotFound, BalanceLimitExceeded."""
    limit = settings.BALANCE_LIMIT_WON
    account, entry_id = _account(transaction, user_id)
    return _record(transaction, account.deposit(amount, limit=limit, entry_id=entry_id, now=transaction.now))


def withdraw(transaction: Transaction, *, user_id: int, amount: int, order_id: int) -> Entry:
    """Pay `amount` won (zero or more) for an order. Raises UserNotFound, InsufficientBalance."""
    account, entry_id = _account(transaction, user_id)
    return _record(transaction, account.withdraw(amount, order_id=order_id, entry_id=entry_id, now=transaction.now))


def refund(
    transaction: Transaction, *, user_id: int, amount: int, order_id: int, refund_id: int | None = None
) -> Entry:
    """Give back `amount` won (zero or more) of an order: once for its cancellation, or once for each refund.

    Repeating one violates a constraint.
    """
    account, entry_id = _account(transaction, user_id)
    entry = account.refund(amount, order_id=order_id, entry_id=entry_id, now=transaction.now, refund_id=refund_id)
    return _record(transaction, entry)


def adjust(transaction: Transaction, *, user_id: int, amount: int) -> Entry:
    """Credit (`amount` won, positive) or debit (negative) an account for a member of staff.

    Raises UserNotFound, InsufficientBalance, BalanceLimitExceeded.
    """
    limit = settings.BALANCE_LIMIT_WON
    account, entry_id = _account(transaction, user_id)
    return _record(transaction, account.adjust(amount, limit=limit, entry_id=entry_id, now=transaction.now))


def _account(transaction: Transaction, user_id: int) -> tuple[Account, int]:
    account = transaction[Accounts].get(user_id)
    if account is None:
        raise UserNotFound(user_id)
    return account, transaction[Ledger].next_id()


def _record(transaction: Transaction, entry: Entry) -> Entry:
    transaction[Ledger].add(entry)
    publish(transaction, balance_changed(entry))
    return entry
