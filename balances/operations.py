"""Moving money, inside a transaction that someone else has opened.

Owns the one statement that changes a balance: it checks, changes and writes the ledger at once. Never opens a
transaction, never asks who may.
"""

from datetime import datetime

from django.conf import settings

from balances.errors import BalanceLimitExceeded, InsufficientBalance, UserNotFound
from balances.events import balance_changed
from balances.models import EntryType, LedgerEntry
from balances.selectors import remember_balance
from commerce.core import sql
from commerce.core.transaction import Transaction
from commerce.outbox.publish import publish

# Far above any balance, and far enough below the end of bigint to subtract an amount from it.
NO_CEILING = 2**62

# The condition is judged on the row as it is once its lock is had, so two payments cannot both see the last won.
# A closed account takes its refunds, and nothing else.
#
# The entry's number is drawn where the row's new values are reckoned. They are reckoned again when another transaction
# changed the row first, so the numbers of one account rise in the order in which its balance moved; and currval is the
# number that counted. docs/ledger.md has the text that is hashed.
MOVE_BALANCE = """
    WITH moved AS (
        UPDATE "user" SET
            balance = balance + %(amount)s,
            ledger_head = sha256(ledger_head || convert_to(
                nextval('user_balance_tx_id_seq')::text || '|' || id || '|' || %(type)s || '|' || %(amount)s
                    || '|' || (balance + %(amount)s) || '|' || coalesce(%(order_id)s::bigint::text, '')
                    || '|' || (extract(epoch FROM %(created_at)s) * 1000000)::bigint,
                'UTF8'))
        WHERE id = %(user_id)s
          AND (is_active OR %(type)s = 'REFUND')
          AND balance + %(amount)s >= 0
          AND balance <= %(ceiling)s - %(amount)s
        RETURNING id, balance, ledger_head
    )
    INSERT INTO user_balance_tx (id, user_id, type, amount, balance_after, order_id, created_at, entry_hash)
    SELECT currval('user_balance_tx_id_seq'), id, %(type)s, %(amount)s, balance, %(order_id)s::bigint, %(created_at)s,
           ledger_head
    FROM moved
    RETURNING id, balance_after, entry_hash
"""


def deposit(unit: Transaction, *, user_id: int, amount: int, now: datetime) -> LedgerEntry:
    """Add `amount` won (positive) that the customer charged.

    Raises UserNotFound, BalanceLimitExceeded.
    """
    return _move(unit, EntryType.CHARGE, user_id, amount, now, ceiling=settings.BALANCE_LIMIT_WON)


def withdraw(unit: Transaction, *, user_id: int, amount: int, order_id: int, now: datetime) -> LedgerEntry:
    """Pay `amount` won (zero or more) for an order. Raises UserNotFound, InsufficientBalance."""
    return _move(unit, EntryType.PAYMENT, user_id, -amount, now, order_id=order_id)


def refund(unit: Transaction, *, user_id: int, amount: int, order_id: int, now: datetime) -> LedgerEntry:
    """Give back `amount` won (zero or more) of an order; a second refund of it breaks a constraint."""
    return _move(unit, EntryType.REFUND, user_id, amount, now, order_id=order_id)


def adjust(unit: Transaction, *, user_id: int, amount: int, now: datetime) -> LedgerEntry:
    """Credit (`amount` won above zero) or debit (below) what a member of staff has decided.

    Raises UserNotFound, InsufficientBalance, BalanceLimitExceeded.
    """
    ceiling = settings.BALANCE_LIMIT_WON if amount > 0 else NO_CEILING
    return _move(unit, EntryType.ADJUSTMENT, user_id, amount, now, ceiling=ceiling)


def _move(
    unit: Transaction,
    entry_type: EntryType,
    user_id: int,
    amount: int,
    now: datetime,
    *,
    order_id: int | None = None,
    ceiling: int = NO_CEILING,
) -> LedgerEntry:
    row = sql.fetch_one(
        MOVE_BALANCE,
        {
            "user_id": user_id,
            "amount": amount,
            "type": entry_type.value,
            "order_id": order_id,
            "created_at": now,
            "ceiling": ceiling,
        },
    )
    if row is None:
        raise _refusal(user_id, amount, ceiling)
    entry = LedgerEntry(
        id=row[0],
        user_id=user_id,
        type=entry_type.value,
        amount=amount,
        balance_after=row[1],
        order_id=order_id,
        created_at=now,
        entry_hash=row[2],
    )
    publish(unit, balance_changed(entry))
    unit.on_committed(lambda: remember_balance(user_id=user_id, ledger_id=entry.id, balance=entry.balance_after))
    return entry


def _refusal(user_id: int, amount: int, ceiling: int) -> Exception:
    row = sql.fetch_one('SELECT balance FROM "user" WHERE id = %s AND is_active', [user_id])
    if row is None:
        return UserNotFound(user_id)
    if amount < 0:
        return InsufficientBalance(balance=row[0], required=-amount)
    return BalanceLimitExceeded(balance=row[0], limit=ceiling)
