"""Orders in the back-office: found, read with their history, cancelled, exported. Nobody edits one."""

from orders.admin import customer_timeline  # noqa: F401  # its entries on the page of a customer
from orders.admin.pages import OrderAdmin

__all__ = ["OrderAdmin"]
