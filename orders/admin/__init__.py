"""Orders in the back-office: found, read with their history, cancelled, exported. Nobody edits one."""

from orders.admin.pages import OrderAdmin

__all__ = ["OrderAdmin"]
