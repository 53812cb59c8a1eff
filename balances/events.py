"""The event of a ledger entry."""

from typing import Any

from balances.models import LedgerEntry
from balances.rules import Entry
from commerce.outbox.publish import Event

BALANCE_CHANGED = "balance-changed"


def balance_changed(entry: LedgerEntry | Entry) -> Event:
    """The event of one ledger entry, keyed by the account's id."""
    data: dict[str, Any] = {
        "userId": entry.user_id,
        "transactionId": entry.id,
        "type": entry.type,
        "amount": entry.amount,
        "balanceAfter": entry.balance_after,
        "orderId": entry.order_id,
    }
    return Event(BALANCE_CHANGED, entry.id, "ledger-entry", entry.user_id, entry.created_at, data)
