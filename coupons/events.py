"""The event of an issued coupon."""

from commerce.outbox.publish import Event
from coupons.models import UserCoupon
from coupons.rules import HeldCoupon

COUPON_ISSUED = "coupon-issued"


def coupon_issued(held: UserCoupon | HeldCoupon) -> Event:
    data = {"userId": held.user_id, "userCouponId": held.id, "couponId": held.coupon_id}
    return Event(COUPON_ISSUED, held.id, "user-coupon", held.user_id, held.issued_at, data)
