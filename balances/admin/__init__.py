"""The back-office pages of accounts and of the ledger."""

from balances.admin import accounts, ledger, of_customers

__all__ = ["accounts", "ledger", "of_customers"]
