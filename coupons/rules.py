"""The rules of coupons: who may get one, when it can be used, and its discount.

Plain objects: no database, no clock.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from coupons.errors import (
    CouponAlreadyIssued,
    CouponNotOpen,
    CouponNotUsable,
    CouponSoldOut,
    Unusable,
)

AVAILABLE: Final = "AVAILABLE"
USED: Final = "USED"
FIXED: Final = "FIXED"
PERCENT: Final = "PERCENT"

FIXED_ONCE_ISSUED = ("discount_type", "discount_value", "max_discount", "min_order_amount", "issue_starts_at")
"""The terms that may not change once the coupon is issued."""


@dataclass(frozen=True)
class Discount:
    """The discount of a coupon."""

    discount_type: str
    """`FIXED` or `PERCENT`."""
    discount_value: int
    """Won for FIXED, percent (1 to 100) for PERCENT."""
    max_discount: int | None
    """The cap of a PERCENT discount, in won; None: no cap."""

    def off(self, total_amount: int) -> int:
        """The discount in won for a total: 0 to `total_amount`, rounded down."""
        if self.discount_type == FIXED:
            amount = self.discount_value
        else:
            amount = total_amount * self.discount_value // 100
            if self.max_discount is not None:
                amount = min(amount, self.max_discount)
        return min(amount, total_amount)


@dataclass(slots=True)
class HeldCoupon:
    """One coupon of one customer. `status` is `AVAILABLE` or `USED`; expiry follows from `expires_at`."""

    id: int
    user_id: int
    coupon_id: int
    status: str
    issued_at: datetime
    expires_at: datetime
    used_at: datetime | None
    name: str
    discount_type: str
    discount_value: int
    max_discount: int | None
    min_order_amount: int

    def redeem(self, *, user_id: int, total_amount: int, now: datetime) -> int:
        """Use it for an order of `total_amount` won; returns the discount in won.

        Raises CouponNotUsable with the reason.
        """
        if self.user_id != user_id:
            raise CouponNotUsable(Unusable.NOT_OWNED)
        if self.status == USED:
            raise CouponNotUsable(Unusable.USED)
        if self.expires_at <= now:
            raise CouponNotUsable(Unusable.EXPIRED)
        if self.min_order_amount > total_amount:
            raise CouponNotUsable(Unusable.BELOW_MINIMUM)
        self.status = USED
        self.used_at = now
        return Discount(self.discount_type, self.discount_value, self.max_discount).off(total_amount)

    def release(self) -> None:
        """Undo its use. It is then AVAILABLE, or expired if `expires_at` has passed."""
        self.status = AVAILABLE
        self.used_at = None


@dataclass(slots=True)
class LimitedCoupon:
    """A coupon for the first `total_quantity` customers within its issue window, one each."""

    id: int
    name: str
    discount_type: str
    discount_value: int
    max_discount: int | None
    min_order_amount: int
    total_quantity: int
    issued_count: int
    issue_starts_at: datetime
    issue_ends_at: datetime
    valid_until: datetime
    issued: int = 0
    """Number issued since the coupon was read."""

    def issue_to(self, user_id: int, *, has_one: bool, user_coupon_id: int, now: datetime) -> HeldCoupon:
        """Issue one to the customer. Raises CouponAlreadyIssued, CouponNotOpen, CouponSoldOut."""
        if has_one:
            raise CouponAlreadyIssued
        if not self.issue_starts_at <= now < self.issue_ends_at:
            raise CouponNotOpen
        if self.issued_count >= self.total_quantity:
            raise CouponSoldOut
        self.issued_count += 1
        self.issued += 1
        return HeldCoupon(
            id=user_coupon_id,
            user_id=user_id,
            coupon_id=self.id,
            status=AVAILABLE,
            issued_at=now,
            expires_at=self.valid_until,
            used_at=None,
            name=self.name,
            discount_type=self.discount_type,
            discount_value=self.discount_value,
            max_discount=self.max_discount,
            min_order_amount=self.min_order_amount,
        )
