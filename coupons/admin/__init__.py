"""The coupons' pages in the back-office."""

from coupons.admin.coupons import CouponAdmin
from coupons.admin.user_coupons import UserCouponAdmin

__all__ = ["CouponAdmin", "UserCouponAdmin"]
