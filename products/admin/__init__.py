"""The back-office pages of products, stock movements and imports."""

from products.admin.catalogue import ProductAdmin
from products.admin.movements import StockMovementAdmin

__all__ = ["ProductAdmin", "StockMovementAdmin"]
