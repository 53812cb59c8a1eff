"""Orders in the back-office: found, told as they went, taken back, taken along. Nobody edits one."""

from orders.admin.pages import OrderAdmin

__all__ = ["OrderAdmin"]
