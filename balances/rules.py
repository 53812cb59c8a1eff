"""The rules of a wallet: what an account may hold, how its balance moves, how its ledger entries are chained.

Plain objects: no database, no clock.
"""

import hashlib
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Final

from balances.errors import BalanceLimitExceeded, InsufficientBalance, UserNotFound

CHARGE: Final = "CHARGE"
PAYMENT: Final = "PAYMENT"
REFUND: Final = "REFUND"
ADJUSTMENT: Final = "ADJUSTMENT"

SMALLEST_CHARGE_WON = 1
LARGEST_CHARGE_WON = 10_000_000

START_OF_CHAIN = bytes(32)
"""The `previous` hash of an account's first entry."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


@dataclass(slots=True, frozen=True)
class Entry:
    """One movement of a balance, as the ledger stores it. Amounts are won."""

    id: int
    user_id: int
    type: str
    amount: int
    """Payments are negative, charges and refunds positive, adjustments either."""
    balance_after: int
    order_id: int | None
    created_at: datetime
    entry_hash: bytes
    refund_id: int | None = None
    """The refund that this entry belongs to, if any. Not hashed: the invariants compare it with the order's refunds."""


@dataclass(slots=True)
class Account:
    """A wallet. Each movement changes the balance and returns its ledger entry.

    `entry_id` must be higher than the ids of the account's earlier entries.
    """

    id: int
    balance: int
    ledger_head: bytes
    """The hash of the newest entry."""
    is_active: bool
    moved: int = 0
    """Won by which the balance has changed since it was read."""

    def deposit(self, amount: int, *, limit: int, entry_id: int, now: datetime) -> Entry:
        """Add `amount` won (above zero) that the customer charged.

        Raises UserNotFound for a closed account, BalanceLimitExceeded if it would hold more than `limit`.
        """
        self._require_open()
        self._require_room(amount, limit)
        return self._move(CHARGE, amount, entry_id, None, now)

    def withdraw(self, amount: int, *, order_id: int, entry_id: int, now: datetime) -> Entry:
        """Pay `amount` won (zero or more) for an order. Raises UserNotFound, InsufficientBalance."""
        self._require_open()
        self._require_money(amount)
        return self._move(PAYMENT, -amount, entry_id, order_id, now)

    def refund(
        self, amount: int, *, order_id: int, entry_id: int, now: datetime, refund_id: int | None = None
    ) -> Entry:
        """Give back `amount` won (zero or more) of an order; a closed account receives it as well.

        `refund_id`: the partial refund; None for a cancelled order.
        """
        return replace(self._move(REFUND, amount, entry_id, order_id, now), refund_id=refund_id)

    def adjust(self, amount: int, *, limit: int, entry_id: int, now: datetime) -> Entry:
        """Credit (`amount` won, positive) or debit (negative) the account for a member of staff.

        Raises UserNotFound, InsufficientBalance, BalanceLimitExceeded.
        """
        self._require_open()
        if amount > 0:
            self._require_room(amount, limit)
        else:
            self._require_money(-amount)
        return self._move(ADJUSTMENT, amount, entry_id, None, now)

    def _require_open(self) -> None:
        if not self.is_active:
            raise UserNotFound(self.id)

    def _require_room(self, amount: int, limit: int) -> None:
        if self.balance + amount > limit:
            raise BalanceLimitExceeded(balance=self.balance, limit=limit)

    def _require_money(self, amount: int) -> None:
        if self.balance < amount:
            raise InsufficientBalance(balance=self.balance, required=amount)

    def _move(self, entry_type: str, amount: int, entry_id: int, order_id: int | None, now: datetime) -> Entry:
        self.balance += amount
        self.moved += amount
        self.ledger_head = entry_hash(
            self.ledger_head,
            entry_id=entry_id,
            user_id=self.id,
            entry_type=entry_type,
            amount=amount,
            balance_after=self.balance,
            order_id=order_id,
            created_at=now,
        )
        return Entry(entry_id, self.id, entry_type, amount, self.balance, order_id, now, self.ledger_head)


def entry_hash(
    previous: bytes,
    *,
    entry_id: int,
    user_id: int,
    entry_type: str,
    amount: int,
    balance_after: int,
    order_id: int | None,
    created_at: datetime,
) -> bytes:
    """The SHA-256 of a ledger entry, chained to the 32-byte hash `previous` of the owner's previous entry.

    docs/ledger.md defines the hashed text.
    """
    microseconds = (created_at - _EPOCH) // _MICROSECOND
    order = "" if order_id is None else order_id
    text = f"{entry_id}|{user_id}|{entry_type}|{amount}|{balance_after}|{order}|{microseconds}"
    return hashlib.sha256(previous + text.encode("ascii")).digest()
