"""A coupon with the terms of another one."""

from datetime import UTC, datetime, timedelta

import pytest
from django.urls import reverse
from django.utils import timezone

from coupons.admin.forms import copied
from coupons.models import Coupon
from tests.back_office.staff import Staff
from tests.factories import CouponFactory
from tests.shop_state import nothing_changes
from tests.web_forms import fields_of

pytestmark = pytest.mark.django_db(transaction=True)

RIGHTS = ("coupons.view_coupon", "coupons.add_coupon")
DAY = timedelta(days=1)


@pytest.fixture
def coupon() -> Coupon:
    start = timezone.now().replace(microsecond=0) - timedelta(days=9, hours=3)
    return CouponFactory(
        name="Spring",
        discount_type="PERCENT",
        discount_value=15,
        max_discount=5_000,
        min_order_amount=20_000,
        total_quantity=300,
        issue_starts_at=start,
        issue_ends_at=start + 7 * DAY,
        valid_until=start + 30 * DAY,
    )


def test_is_made_by_its_link_and_one_button(coupon: Coupon) -> None:
    clerk = Staff(*RIGHTS)
    assert f'href="/admin/coupons/coupon/add/?copy_of={coupon.pk}"' in (
        clerk.get("coupons_coupon_change", coupon.pk).content.decode()
    )
    address = f"{reverse('admin:coupons_coupon_add')}?copy_of={coupon.pk}"
    with nothing_changes():
        form = fields_of(clerk.client.get(address).content.decode())
    assert clerk.client.post(address, form).status_code == 302
    copy = Coupon.objects.latest("pk")
    assert copy.pk != coupon.pk
    assert (copy.name, copy.issued_count) == ("Spring (copy)", 0)
    for name in ("discount_type", "discount_value", "max_discount", "min_order_amount", "total_quantity"):
        assert getattr(copy, name) == getattr(coupon, name)
    for name in ("issue_starts_at", "issue_ends_at", "valid_until"):
        assert getattr(copy, name) - getattr(coupon, name) == 10 * DAY
    assert timezone.now() < copy.issue_starts_at <= timezone.now() + DAY


def test_of_a_future_coupon_keeps_its_times(coupon: Coupon) -> None:
    now = coupon.issue_starts_at - timedelta(seconds=1)
    assert copied(coupon, now)["issue_starts_at"] == coupon.issue_starts_at
    assert copied(coupon, coupon.issue_starts_at + timedelta(seconds=1))["issue_starts_at"] == (
        coupon.issue_starts_at + DAY
    )


def test_requires_times_if_those_of_the_other_cannot_be_moved(coupon: Coupon) -> None:
    coupon.valid_until = datetime.max.replace(tzinfo=UTC)
    terms = copied(coupon, timezone.now())
    assert [terms[name] for name in ("issue_starts_at", "issue_ends_at", "valid_until")] == [None] * 3
    assert terms["discount_value"] == 15


@pytest.mark.parametrize("number", ["999999999", "abc", "9" * 30, ""])
def test_of_an_unknown_coupon_is_a_new_one(number: str) -> None:
    form = fields_of(
        Staff(*RIGHTS).client.get(f"{reverse('admin:coupons_coupon_add')}?copy_of={number}").content.decode()
    )
    assert form["name"] == ""


def test_is_offered_to_those_who_may_add_one(coupon: Coupon) -> None:
    clerk = Staff("coupons.view_coupon")
    assert "copy_of" not in clerk.get("coupons_coupon_change", coupon.pk).content.decode()
    assert clerk.client.get(f"{reverse('admin:coupons_coupon_add')}?copy_of={coupon.pk}").status_code == 403
