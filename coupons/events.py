"""How an issued coupon is told to the outside."""

from commerce.outbox.publish import Event
from coupons.models import UserCoupon

COUPON_ISSUED = "coupon-issued"


def coupon_issued(user_coupon: UserCoupon) -> Event:
    data = {"userId": user_coupon.user_id, "userCouponId": user_coupon.id, "couponId": user_coupon.coupon_id}
    return Event(COUPON_ISSUED, user_coupon.id, "user-coupon", user_coupon.user_id, user_coupon.issued_at, data)
