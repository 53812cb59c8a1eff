"""The coupons' pages in the back-office."""

from coupons.admin import customer_timeline  # noqa: F401  # its entries on the page of a customer
from coupons.admin.coupons import CouponAdmin
from coupons.admin.user_coupons import UserCouponAdmin

__all__ = ["CouponAdmin", "UserCouponAdmin"]
