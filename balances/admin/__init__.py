"""The back-office pages of accounts and of the ledger."""

from balances.admin import accounts, customer_timeline, ledger

__all__ = ["accounts", "customer_timeline", "ledger"]
