"""Database constraints on coupons."""

from datetime import timedelta
from typing import Any

import pytest
from django.db import IntegrityError, transaction
from django.db.models import F

from commerce.core.sql import violated_constraint
from coupons.models import Coupon, UserCoupon
from tests.factories import CouponFactory, UserCouponFactory

pytestmark = pytest.mark.django_db(transaction=True)


def refused_by(model: type[Coupon] | type[UserCoupon], **changes: Any) -> str | None:
    try:
        with transaction.atomic():
            model.objects.update(**changes)
    except IntegrityError as error:
        return violated_constraint(error)
    return None


@pytest.mark.parametrize(
    ("changes", "constraint"),
    [
        ({"issued_count": 11}, "coupon_issued_within_total"),
        ({"issued_count": -1}, "coupon_issued_within_total"),
        ({"issued_count": 10}, None),
        ({"discount_type": "PERCENT", "discount_value": 101}, "coupon_discount_in_range"),
        ({"discount_type": "PERCENT", "discount_value": 100}, None),
        ({"discount_type": "GIFT"}, "coupon_discount_in_range"),
        ({"discount_value": 0}, "coupon_discount_in_range"),
        ({"discount_type": "PERCENT", "discount_value": 5, "max_discount": 0}, "coupon_cap_positive"),
        ({"max_discount": 500}, "coupon_cap_is_of_percent"),
        ({"min_order_amount": -1}, "coupon_minimum_not_negative"),
        ({"issue_starts_at": F("issue_ends_at")}, "coupon_window_in_order"),
        ({"valid_until": F("issue_ends_at") - timedelta(seconds=1)}, "coupon_window_in_order"),
        ({"valid_until": F("issue_ends_at")}, None),
    ],
)
def test_inconsistent_coupons_are_refused(changes: dict[str, Any], constraint: str | None) -> None:
    CouponFactory(total_quantity=10)
    assert refused_by(Coupon, **changes) == constraint


@pytest.mark.parametrize(
    ("changes", "refused"),
    [
        ({"status": "USED"}, True),
        ({"used_at": F("issued_at")}, True),
        ({"status": "USED", "used_at": F("issued_at")}, False),
    ],
)
def test_used_at_is_set_exactly_for_used_coupons(changes: dict[str, Any], refused: bool) -> None:
    UserCouponFactory()
    assert refused_by(UserCoupon, **changes) == ("user_coupon_used_at_fits_status" if refused else None)


def test_a_second_coupon_for_one_customer_is_refused() -> None:
    held = UserCouponFactory()
    with pytest.raises(IntegrityError) as error, transaction.atomic():
        UserCouponFactory(user=held.user, coupon=held.coupon)
    assert violated_constraint(error.value) == "user_coupon_one_per_user"
