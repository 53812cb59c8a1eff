"""What a customer does with a coupon, and staff with its terms.

Owns the locks and the transaction of each use case; the statements are in `operations`.
"""

from collections.abc import Mapping

from django.utils import timezone

from commerce.core.locks import coupon_lock, locked_transaction
from commerce.idempotency.claims import Once
from commerce.outbox.publish import publish
from coupons import operations
from coupons.events import coupon_issued
from coupons.models import Coupon, UserCoupon


def issue_coupon(*, user_id: int, coupon_id: int, once: Once) -> UserCoupon:
    """Give the user one unit of the coupon, first come, first served, one per user.

    Raises CouponNotFound, UserNotFound, CouponNotOpen, CouponAlreadyIssued, CouponSoldOut, LockTimeout.
    """
    with locked_transaction(coupon_lock(coupon_id), *once.locks) as unit:
        user_coupon = operations.issue(user_id=user_id, coupon_id=coupon_id, now=timezone.now())
        publish(unit, coupon_issued(user_coupon))
        once.remember(unit, user_coupon)
    return user_coupon


def save_coupon(coupon: Coupon, *, seen: Mapping[str, object] | None = None) -> Coupon:
    """Create a coupon or change its terms. Once issued, only its name, more units and later or earlier ends are left.

    `seen`: what some of its terms were when the change was decided; None: whatever they are now.
    Raises CouponNotFound, CouponTermsFixed, ChangedMeanwhile, LockTimeout.
    """
    with locked_transaction(*([] if coupon._state.adding else [coupon_lock(coupon.pk)])):
        operations.save_terms(coupon, seen=seen or {})
    return coupon
