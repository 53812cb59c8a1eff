"""Use cases of a wallet: charge, adjust, log in. Each acquires its locks and opens its transaction."""

from dataclasses import dataclass

from django.contrib.auth import authenticate
from django.utils.translation import gettext_noop

from balances import operations
from balances.errors import InvalidCredentials, OwnWallet
from balances.models import User
from balances.rules import Entry
from balances.selectors import LEDGER_ENTRY
from commerce.audit.record import Staff, add_record
from commerce.core.locks import user_lock
from commerce.core.transaction import Transaction
from commerce.idempotency.commit import Idempotency, commit_once

BALANCE_CREDITED = gettext_noop("Balance credited")
BALANCE_DEBITED = gettext_noop("Balance debited")


def charge_balance(*, user_id: int, amount: int, idempotency: Idempotency) -> Entry:
    """Add `amount` won to the user's balance.

    Raises UserNotFound, BalanceLimitExceeded, LockTimeout.
    """
    return commit_once(ChargeBalance(user_id, amount), idempotency)


def adjust_balance(*, user_id: int, amount: int, by: Staff, idempotency: Idempotency) -> Entry:
    """Credit (`amount` won, positive) or debit (negative) an account, with the reason in `by`.

    Raises OwnWallet, UserNotFound, InsufficientBalance, BalanceLimitExceeded, LockTimeout.
    """
    if by.id == user_id:
        raise OwnWallet
    return commit_once(AdjustBalance(user_id, amount, by), idempotency)


@dataclass(frozen=True, slots=True)
class ChargeBalance:
    """See `charge_balance`."""

    user_id: int
    amount: int

    def locks(self) -> list[str]:
        return [user_lock(self.user_id)]

    def load(self, transaction: Transaction) -> None:
        operations.will_move(transaction, self.user_id)

    def decide(self, transaction: Transaction) -> Entry:
        return operations.deposit(transaction, user_id=self.user_id, amount=self.amount)


@dataclass(frozen=True, slots=True)
class AdjustBalance:
    """See `adjust_balance`."""

    user_id: int
    amount: int
    by: Staff

    def locks(self) -> list[str]:
        return [user_lock(self.user_id)]

    def load(self, transaction: Transaction) -> None:
        operations.will_move(transaction, self.user_id)

    def decide(self, transaction: Transaction) -> Entry:
        entry = operations.adjust(transaction, user_id=self.user_id, amount=self.amount)
        action = BALANCE_CREDITED if self.amount > 0 else BALANCE_DEBITED
        before = {"balance": entry.balance_after - self.amount}
        after = {"balance": entry.balance_after, LEDGER_ENTRY: entry.id}
        add_record(transaction, self.by, action, User, self.user_id, before=before, after=after)
        return entry


def log_in(*, username: str, password: str) -> User:
    """The account behind a name and a password. Raises InvalidCredentials."""
    user = authenticate(username=username, password=password)
    if not isinstance(user, User):
        raise InvalidCredentials
    return user
