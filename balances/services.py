"""What a customer does with a wallet.

Owns the locks and the transaction of each use case; the money moves in `operations`.
"""

from django.contrib.auth import authenticate
from django.utils import timezone

from balances import operations
from balances.errors import InvalidCredentials
from balances.models import LedgerEntry, User
from commerce.core.locks import locked_transaction, user_lock
from commerce.idempotency.claims import Once


def charge_balance(*, user_id: int, amount: int, once: Once) -> LedgerEntry:
    """Add `amount` won to the user's balance.

    Raises UserNotFound, BalanceLimitExceeded, LockTimeout.
    """
    with locked_transaction(user_lock(user_id), *once.locks) as unit:
        entry = operations.deposit(unit, user_id=user_id, amount=amount, now=timezone.now())
        once.remember(unit, entry)
    return entry


def log_in(*, username: str, password: str) -> User:
    """The account behind a name and a password. Raises InvalidCredentials."""
    user = authenticate(username=username, password=password)
    if not isinstance(user, User):
        raise InvalidCredentials
    return user
