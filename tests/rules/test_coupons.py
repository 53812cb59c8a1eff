"""Rules of coupons: issue, use and discount."""

import copy
from datetime import UTC, datetime, timedelta

import pytest

from coupons.errors import CouponAlreadyIssued, CouponNotOpen, CouponNotUsable, CouponSoldOut, Unusable
from coupons.rules import AVAILABLE, FIXED, PERCENT, USED, Discount, HeldCoupon, LimitedCoupon

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
TICK = timedelta(microseconds=1)
HOUR = timedelta(hours=1)


@pytest.mark.parametrize(
    ("discount", "total", "off"),
    [
        (Discount(FIXED, 1_000, None), 1_001, 1_000),
        (Discount(FIXED, 1_000, None), 999, 999),
        (Discount(FIXED, 1_000, 500), 1_001, 1_000),
        (Discount(PERCENT, 15, None), 1_999, 299),
        (Discount(PERCENT, 100, None), 1_999, 1_999),
        (Discount(PERCENT, 15, 298), 1_999, 298),
        (Discount(PERCENT, 15, 300), 1_999, 299),
        (Discount(PERCENT, 15, None), 0, 0),
    ],
)
def test_what_is_taken_off(discount: Discount, total: int, off: int) -> None:
    assert discount.off(total) == off


def held(**changes: object) -> HeldCoupon:
    coupon = HeldCoupon(
        id=4,
        user_id=7,
        coupon_id=3,
        status=AVAILABLE,
        issued_at=NOW - HOUR,
        expires_at=NOW + TICK,
        used_at=None,
        name="Spring",
        discount_type=PERCENT,
        discount_value=15,
        max_discount=200,
        min_order_amount=1_000,
    )
    for name, value in changes.items():
        setattr(coupon, name, value)
    return coupon


@pytest.mark.parametrize(("total", "off"), [(1_000, 150), (1_999, 200)])
def test_a_coupon_is_used_in_its_last_moment_from_its_minimum_on(total: int, off: int) -> None:
    coupon = held()
    assert coupon.redeem(user_id=7, total_amount=total, now=NOW) == off
    assert coupon == held(status=USED, used_at=NOW)


def test_a_fixed_coupon_takes_its_value_off() -> None:
    assert held(discount_type=FIXED, discount_value=90).redeem(user_id=7, total_amount=1_000, now=NOW) == 90


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"user_id": 8}, Unusable.NOT_OWNED),
        ({"status": USED, "used_at": NOW - HOUR}, Unusable.USED),
        ({"expires_at": NOW}, Unusable.EXPIRED),
        ({"min_order_amount": 1_001}, Unusable.BELOW_MINIMUM),
    ],
)
def test_a_coupon_that_does_not_fit_is_refused_with_the_reason(changes: dict[str, object], reason: Unusable) -> None:
    coupon = held(**changes)
    with pytest.raises(CouponNotUsable) as refusal:
        coupon.redeem(user_id=7, total_amount=1_000, now=NOW)
    assert refusal.value.reason is reason
    assert coupon == held(**changes)


def test_a_released_coupon_can_be_used_again() -> None:
    coupon = held(status=USED, used_at=NOW)
    coupon.release()
    assert coupon == held()


def limited(
    *, issued_count: int = 1, issued: int = 0, starts: datetime = NOW, ends: datetime = NOW + TICK
) -> LimitedCoupon:
    return LimitedCoupon(
        id=3,
        name="Spring",
        discount_type=PERCENT,
        discount_value=15,
        max_discount=200,
        min_order_amount=1_000,
        total_quantity=2,
        issued_count=issued_count,
        issue_starts_at=starts,
        issue_ends_at=ends,
        valid_until=NOW + HOUR,
        issued=issued,
    )


def test_the_last_coupon_is_issued_with_its_terms() -> None:
    coupon = limited(issued=1)
    assert coupon.issue_to(7, has_one=False, user_coupon_id=4, now=NOW) == held(issued_at=NOW, expires_at=NOW + HOUR)
    assert coupon == limited(issued_count=2, issued=2)


@pytest.mark.parametrize(
    ("coupon", "has_one", "refusal"),
    [
        (limited(), True, CouponAlreadyIssued),
        (limited(starts=NOW + TICK), False, CouponNotOpen),
        (limited(ends=NOW), False, CouponNotOpen),
        (limited(issued_count=2), False, CouponSoldOut),
        (limited(issued_count=3), False, CouponSoldOut),
    ],
)
def test_a_refused_coupon_is_not_counted(coupon: LimitedCoupon, has_one: bool, refusal: type[Exception]) -> None:
    before = copy.copy(coupon)
    with pytest.raises(refusal):
        coupon.issue_to(7, has_one=has_one, user_coupon_id=4, now=NOW)
    assert coupon == before
