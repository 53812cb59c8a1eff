"""The catalogue in the back-office: what is sold, how its stock moves, and files that say it for many at once."""

from products.admin.catalogue import ProductAdmin
from products.admin.movements import StockMovementAdmin

__all__ = ["ProductAdmin", "StockMovementAdmin"]
