"""The back-office pages of the statistics."""

from stats.admin.counted import DeadLetterAdmin, ProcessedEventAdmin
from stats.admin.product_stats import ProductStatAdmin

__all__ = ["DeadLetterAdmin", "ProcessedEventAdmin", "ProductStatAdmin"]
