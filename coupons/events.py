"""Events of coupons held by customers."""

from datetime import datetime

from commerce.core.times import local_time
from commerce.outbox.publish import Event
from coupons.models import UserCoupon
from coupons.rules import HeldCoupon

COUPON_ISSUED = "coupon-issued"
COUPON_EXPIRING = "coupon-expiring"


def coupon_issued(held: UserCoupon | HeldCoupon) -> Event:
    data = {"userId": held.user_id, "userCouponId": held.id, "couponId": held.coupon_id}
    return Event(COUPON_ISSUED, held.id, "user-coupon", held.user_id, held.issued_at, data)


def coupon_expiring(held: HeldCoupon, *, noticed_at: datetime) -> Event:
    """An unused coupon expires soon. Published once for each held coupon."""
    data = {
        "userId": held.user_id,
        "userCouponId": held.id,
        "couponId": held.coupon_id,
        "name": held.name,
        "discountType": held.discount_type,
        "discountValue": held.discount_value,
        "maxDiscount": held.max_discount,
        "minOrderAmount": held.min_order_amount,
        "expiresAt": local_time(held.expires_at),
    }
    return Event(COUPON_EXPIRING, held.id, "user-coupon", held.user_id, noticed_at, data)
