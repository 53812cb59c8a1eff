"""The limits and the arithmetic of an order; no database, no clock."""

from collections.abc import Iterable
from dataclasses import dataclass

MOST_ITEMS = 100
LARGEST_QUANTITY = 1000


@dataclass(frozen=True)
class Line:
    """Units of one product at the price (won) they are sold for."""

    product_id: int
    product_name: str
    unit_price: int
    quantity: int

    @property
    def subtotal(self) -> int:
        """Won."""
        return self.unit_price * self.quantity


def total_of(lines: Iterable[Line]) -> int:
    """Won, before any discount."""
    return sum(line.subtotal for line in lines)
