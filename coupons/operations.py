"""Giving out, using and giving back coupons, inside a transaction that someone else has opened; a look before it.

Owns the statements that change a count or a status. Never opens a transaction, never takes money.
"""

from collections.abc import Mapping
from datetime import datetime

from balances.errors import UserNotFound
from commerce.core import sql
from commerce.core.errors import require_unchanged
from coupons.errors import (
    CouponAlreadyIssued,
    CouponNotFound,
    CouponNotOpen,
    CouponNotRunning,
    CouponNotUsable,
    CouponSoldOut,
    CouponTermsFixed,
    Unusable,
)
from coupons.models import Coupon, UserCoupon, UserCouponStatus
from coupons.rules import FIXED_ONCE_ISSUED, Discount

# The count is raised last, because every rival waits for that row. Its condition is judged on the row as it is once
# its lock is had: where the last unit went to someone else meanwhile, the row comes back without a name, and is undone.
ISSUE = """
    WITH issued AS (
        INSERT INTO user_coupon (user_id, coupon_id, status, issued_at, expires_at)
        SELECT %(user_id)s, id, 'AVAILABLE', %(now)s, valid_until FROM coupon
        WHERE id = %(coupon_id)s AND issued_count < total_quantity
          AND issue_starts_at <= %(now)s AND %(now)s < issue_ends_at
          AND EXISTS (SELECT FROM "user" WHERE id = %(user_id)s AND is_active)
        ON CONFLICT ON CONSTRAINT user_coupon_one_per_user DO NOTHING
        RETURNING id
    ), counted AS (
        UPDATE coupon SET issued_count = issued_count + 1
        WHERE id = %(coupon_id)s AND issued_count < total_quantity AND EXISTS (SELECT FROM issued)
        RETURNING *
    )
    SELECT issued.id, name, discount_type, discount_value, max_discount, min_order_amount, valid_until
    FROM issued LEFT JOIN counted ON TRUE
"""

MAY_BE_ISSUED = """
    SELECT EXISTS (SELECT FROM "user" WHERE id = %(user_id)s AND is_active),
           EXISTS (SELECT FROM user_coupon WHERE coupon_id = coupon.id AND user_id = %(user_id)s),
           issue_starts_at <= %(now)s AND %(now)s < issue_ends_at,
           issued_count < total_quantity
    FROM coupon WHERE id = %(coupon_id)s
"""

REDEEM = """
    UPDATE user_coupon SET status = 'USED', used_at = %(now)s
    FROM coupon
    WHERE user_coupon.id = %(user_coupon_id)s AND user_id = %(user_id)s AND coupon.id = coupon_id
      AND status = 'AVAILABLE' AND expires_at > %(now)s AND min_order_amount <= %(total_amount)s
    RETURNING discount_type, discount_value, max_discount
"""

TERMS = ("name", "total_quantity", "issue_ends_at", "valid_until", *FIXED_ONCE_ISSUED)

RELEASE = "UPDATE user_coupon SET status = 'AVAILABLE', used_at = NULL WHERE id = %s AND status = 'USED'"


def issue(*, user_id: int, coupon_id: int, now: datetime) -> UserCoupon:
    """Give the user one unit. The caller holds the transaction, and undoes it on a refusal.

    Raises CouponNotFound, UserNotFound, CouponNotOpen, CouponAlreadyIssued, CouponSoldOut.
    """
    parameters = {"user_id": user_id, "coupon_id": coupon_id, "now": now}
    row = sql.fetch_one(ISSUE, parameters)
    if row is None:
        # The last unit may have gone, or come back, between the two statements.
        require_issuable(user_id=user_id, coupon_id=coupon_id, now=now)
        raise CouponSoldOut
    if row[1] is None:
        raise CouponSoldOut
    user_coupon_id, name, discount_type, discount_value, max_discount, min_order_amount, valid_until = row
    coupon = Coupon(
        id=coupon_id,
        name=name,
        discount_type=discount_type,
        discount_value=discount_value,
        max_discount=max_discount,
        min_order_amount=min_order_amount,
        valid_until=valid_until,
    )
    return UserCoupon(
        id=user_coupon_id,
        user_id=user_id,
        coupon=coupon,
        status=UserCouponStatus.AVAILABLE.value,
        issued_at=now,
        expires_at=valid_until,
    )


def require_issuable(*, user_id: int, coupon_id: int, now: datetime) -> None:
    """See whether the user could be given a unit, as things are; to be given one is another matter.

    Raises CouponNotFound, UserNotFound, CouponAlreadyIssued, CouponNotOpen, CouponSoldOut.
    """
    row = sql.fetch_one(MAY_BE_ISSUED, {"user_id": user_id, "coupon_id": coupon_id, "now": now})
    if row is None:
        raise CouponNotFound(coupon_id)
    is_customer, has_one, is_open, any_left = row
    if not is_customer:
        raise UserNotFound(user_id)
    if has_one:
        raise CouponAlreadyIssued
    if not is_open:
        raise CouponNotOpen
    if not any_left:
        raise CouponSoldOut


def redeem(*, user_id: int, user_coupon_id: int, total_amount: int, now: datetime) -> Discount:
    """Use the coupon for an order of `total_amount` won and return what it takes off.

    Raises CouponNotUsable with the reason.
    """
    row = sql.fetch_one(
        REDEEM,
        {"user_id": user_id, "user_coupon_id": user_coupon_id, "total_amount": total_amount, "now": now},
    )
    if row is None:
        raise CouponNotUsable(_why_not_usable(user_id, user_coupon_id, now))
    return Discount(*row)


def terms_of(coupon: Coupon) -> dict[str, object]:
    """What is said about a coupon, by name."""
    return {name: getattr(coupon, name) for name in TERMS}


def save_terms(coupon: Coupon, *, seen: Mapping[str, object]) -> Coupon:
    """Write a coupon's terms, but not its count, and return the coupon as it was before.

    The row is locked first, so no unit is issued meanwhile. Raises CouponNotFound, ChangedMeanwhile where a term is
    not any more what was `seen`, CouponTermsFixed for a change that those who hold one need not accept.
    """
    stored = _locked(coupon.pk)
    require_unchanged(stored, seen)
    if stored.issued_count:
        changed = [name for name in FIXED_ONCE_ISSUED if getattr(coupon, name) != getattr(stored, name)]
        if changed or coupon.total_quantity < stored.total_quantity:
            raise CouponTermsFixed
    coupon.save(update_fields=TERMS)
    return stored


def stop(coupon_id: int, *, now: datetime) -> tuple[Coupon, datetime]:
    """End a running window at `now`; return the coupon, and the end that it had.

    Raises CouponNotFound, and CouponNotRunning for a window that has not begun or is over.
    """
    coupon = _locked(coupon_id)
    ends_at = coupon.issue_ends_at
    if not coupon.issue_starts_at < now < ends_at:
        raise CouponNotRunning
    coupon.issue_ends_at = now
    coupon.save(update_fields=["issue_ends_at"])
    return coupon, ends_at


def release(user_coupon_id: int) -> None:
    """Take back the use of a coupon. One whose time is over is shown as expired by itself."""
    sql.execute(RELEASE, [user_coupon_id])


def _locked(coupon_id: int) -> Coupon:
    coupon = Coupon.objects.select_for_update(no_key=True).filter(pk=coupon_id).first()
    if coupon is None:
        raise CouponNotFound(coupon_id)
    return coupon


def _why_not_usable(user_id: int, user_coupon_id: int, now: datetime) -> Unusable:
    row = sql.fetch_one(
        "SELECT status, expires_at FROM user_coupon WHERE id = %s AND user_id = %s", [user_coupon_id, user_id]
    )
    if row is None:
        return Unusable.NOT_OWNED
    status, expires_at = row
    if status == UserCouponStatus.USED:
        return Unusable.USED
    return Unusable.EXPIRED if expires_at <= now else Unusable.BELOW_MINIMUM
