"""The statistics' pages in the back-office."""

from stats.admin.counted import DeadLetterAdmin, ProcessedEventAdmin
from stats.admin.product_stats import ProductStatAdmin

__all__ = ["DeadLetterAdmin", "ProcessedEventAdmin", "ProductStatAdmin"]
