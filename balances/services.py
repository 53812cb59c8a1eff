"""What a customer does with a wallet, and staff for a customer.

Owns the locks and the transaction of each use case; the money moves in `operations`.
"""

from django.contrib.auth import authenticate
from django.utils import timezone
from django.utils.translation import gettext_noop

from balances import operations
from balances.errors import InvalidCredentials, OwnWallet
from balances.models import LedgerEntry, User
from balances.selectors import LEDGER_ENTRY
from commerce.audit.record import Staff, record
from commerce.core.locks import locked_transaction, user_lock
from commerce.idempotency.claims import Once

BALANCE_CREDITED = gettext_noop("Balance credited")
BALANCE_DEBITED = gettext_noop("Balance debited")


def charge_balance(*, user_id: int, amount: int, once: Once) -> LedgerEntry:
    """Add `amount` won to the user's balance.

    Raises UserNotFound, BalanceLimitExceeded, LockTimeout.
    """
    with locked_transaction(user_lock(user_id), *once.locks) as unit:
        entry = operations.deposit(unit, user_id=user_id, amount=amount, now=timezone.now())
        once.remember(unit, entry)
    return entry


def adjust_balance(*, user_id: int, amount: int, by: Staff, once: Once) -> LedgerEntry:
    """Credit (`amount` won above zero) or debit (below) an account, for the reason that `by` gives.

    Raises OwnWallet, UserNotFound, InsufficientBalance, BalanceLimitExceeded, LockTimeout.
    """
    if by.id == user_id:
        raise OwnWallet
    with locked_transaction(user_lock(user_id), *once.locks) as unit:
        entry = operations.adjust(unit, user_id=user_id, amount=amount, now=timezone.now())
        record(
            by,
            BALANCE_CREDITED if amount > 0 else BALANCE_DEBITED,
            User(id=user_id),
            before={"balance": entry.balance_after - amount},
            after={"balance": entry.balance_after, LEDGER_ENTRY: entry.id},
        )
        once.remember(unit, entry)
    return entry


def log_in(*, username: str, password: str) -> User:
    """The account behind a name and a password. Raises InvalidCredentials."""
    user = authenticate(username=username, password=password)
    if not isinstance(user, User):
        raise InvalidCredentials
    return user
