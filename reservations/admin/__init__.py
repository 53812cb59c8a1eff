"""The reservations' pages in the back-office."""

from reservations.admin import customer_timeline  # noqa: F401  # its entries on the page of a customer
from reservations.admin.pages import ReservationAdmin

__all__ = ["ReservationAdmin"]
