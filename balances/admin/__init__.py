"""Accounts and the ledger in the back-office. A balance changes by an adjustment, and no form edits one."""

from balances.admin import accounts, customer_timeline, ledger

__all__ = ["accounts", "customer_timeline", "ledger"]
