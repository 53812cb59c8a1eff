"""The arithmetic of discounts; no database, no clock."""

from dataclasses import dataclass

FIXED_ONCE_ISSUED = ("discount_type", "discount_value", "max_discount", "min_order_amount", "issue_starts_at")
"""What those who hold a coupon rely on."""


@dataclass(frozen=True)
class Discount:
    """What a coupon takes off an order."""

    discount_type: str
    """`FIXED` or `PERCENT`."""
    discount_value: int
    """Won for FIXED, percent (1 to 100) for PERCENT."""
    max_discount: int | None
    """The most PERCENT takes off, in won; None: no cap."""

    def off(self, total_amount: int) -> int:
        """The won taken off a total: 0 to `total_amount`, rounded down."""
        if self.discount_type == "FIXED":
            amount = self.discount_value
        else:
            amount = total_amount * self.discount_value // 100
            if self.max_discount is not None:
                amount = min(amount, self.max_discount)
        return min(amount, total_amount)
