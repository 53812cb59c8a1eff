"""The back-office pages of orders and refunds. Orders are cancelled or refunded, never edited."""

from orders.admin import customer_timeline  # noqa: F401  # its entries on the page of a customer
from orders.admin.pages import OrderAdmin
from orders.admin.refunds import RefundAdmin

__all__ = ["OrderAdmin", "RefundAdmin"]
