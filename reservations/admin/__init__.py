"""The back-office pages of reservations."""

from reservations.admin import customer_timeline  # noqa: F401  # its entries on the page of a customer
from reservations.admin.pages import ReservationAdmin

__all__ = ["ReservationAdmin"]
