"""Accounts and the ledger in the back-office. A balance changes by an adjustment, and no form edits one."""

from balances.admin import accounts, ledger, of_customers

__all__ = ["accounts", "ledger", "of_customers"]
