"""The back-office pages of orders. Orders are cancelled or refunded, never edited."""

from orders.admin import of_customers  # noqa: F401  # its entries on the page of a customer
from orders.admin.pages import OrderAdmin

__all__ = ["OrderAdmin"]
