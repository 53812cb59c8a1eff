"""The limits of a wallet, and how its ledger entries are chained.

Owns the arithmetic; never asks the database.
"""

import hashlib
from datetime import UTC, datetime, timedelta

SMALLEST_CHARGE_WON = 1
LARGEST_CHARGE_WON = 10_000_000

START_OF_CHAIN = bytes(32)
"""What the first entry of an account follows."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


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
    """The SHA-256 of a ledger entry chained to the 32 bytes `previous`: those of the owner's entry before it.

    docs/ledger.md has the text that is hashed. The database reckons the same in `balances.operations.MOVE_BALANCE`.
    """
    microseconds = (created_at - _EPOCH) // timedelta(microseconds=1)
    order = "" if order_id is None else order_id
    text = "|".join(map(str, (entry_id, user_id, entry_type, amount, balance_after, order, microseconds)))
    return hashlib.sha256(previous + text.encode("ascii")).digest()
