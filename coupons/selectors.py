"""Reading coupons; never writes."""

from datetime import datetime

from django.db.models import QuerySet

from coupons.models import Coupon, UserCoupon, UserCouponStatus

EXPIRED = "EXPIRED"
ALL = "ALL"


def open_coupons(now: datetime) -> "QuerySet[Coupon]":
    """Coupons whose window is open at `now`, sold-out ones included: their `remaining` is 0."""
    return Coupon.objects.filter(issue_starts_at__lte=now, issue_ends_at__gt=now)


def coupons_of(user_id: int, *, status: str, now: datetime) -> "QuerySet[UserCoupon]":
    """The user's coupons with a status as of `now`: AVAILABLE, USED, EXPIRED (unused and over) or ALL."""
    coupons = UserCoupon.objects.filter(user_id=user_id).select_related("coupon")
    if status == UserCouponStatus.AVAILABLE:
        return coupons.filter(status=UserCouponStatus.AVAILABLE, expires_at__gt=now)
    if status == EXPIRED:
        return coupons.filter(status=UserCouponStatus.AVAILABLE, expires_at__lte=now)
    if status == UserCouponStatus.USED:
        return coupons.filter(status=UserCouponStatus.USED)
    return coupons


def status_at(user_coupon: UserCoupon, now: datetime) -> str:
    """The status to show: a coupon whose time is over is EXPIRED, unless it was used."""
    if user_coupon.status == UserCouponStatus.AVAILABLE and user_coupon.expires_at <= now:
        return EXPIRED
    return user_coupon.status
