"""A later end of a coupon reaches those who hold it, an earlier one does not."""

from datetime import datetime, timedelta

import pytest
from django.utils import timezone

from balances.models import User
from coupons import operations
from coupons.models import Coupon, UserCoupon, UserCouponStatus
from tests.back_office.staff import Staff, errors_of
from tests.back_office.test_coupons import CLERK, form_of
from tests.factories import CouponFactory, UserCouponFactory, UserFactory
from tests.shop_state import nothing_changes
from tests.shopper import Shopper

pytestmark = pytest.mark.django_db(transaction=True)

NOW = timezone.now().replace(microsecond=0)
DAY = timedelta(days=1)


@pytest.fixture
def clerk() -> Staff:
    return Staff(*CLERK)


@pytest.fixture
def coupon() -> Coupon:
    return CouponFactory(
        total_quantity=50, issue_starts_at=NOW - 3 * DAY, issue_ends_at=NOW - 2 * DAY, valid_until=NOW - DAY
    )


def save(clerk: Staff, coupon: Coupon, valid_until: datetime) -> None:
    opened = clerk.get("coupons_coupon_change", coupon.pk).context["adminform"].form["opened"].value()
    sent = form_of(coupon, valid_until=valid_until, opened=opened)
    answer = clerk.post("coupons_coupon_change", coupon.pk, **sent)
    if answer.status_code == 200:
        # The issue has ended, so a confirmation is required.
        confirmed = answer.context["adminform"].form["confirmed"].value()
        answer = clerk.post("coupons_coupon_change", coupon.pk, **sent, confirmed=confirmed)
    assert answer.status_code == 302
    coupon.refresh_from_db()
    assert coupon.valid_until == valid_until


def test_a_later_end_reaches_every_holder(clerk: Staff, coupon: Coupon, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(operations, "HOLDERS_AT_ONCE", 2)
    user: User = UserFactory()
    held = UserCouponFactory(coupon=coupon, user=user)
    UserCouponFactory(coupon=coupon, status=UserCouponStatus.USED, used_at=NOW - DAY)
    later = UserCouponFactory(coupon=coupon, expires_at=NOW + 9 * DAY)
    UserCouponFactory.create_batch(3, coupon=coupon)
    other = UserCouponFactory()
    assert Shopper(user).get("/api/users/coupons").json["results"] == []
    save(clerk, coupon, NOW + 2 * DAY)
    ends = dict(UserCoupon.objects.filter(coupon=coupon).values_list("pk", "expires_at"))
    assert ends.pop(later.pk) == NOW + 9 * DAY
    assert set(ends.values()) == {NOW + 2 * DAY}
    assert UserCoupon.objects.get(pk=other.pk).expires_at == other.expires_at
    [shown] = Shopper(user).get("/api/users/coupons").json["results"]
    assert (shown["id"], shown["expiresAt"]) == (held.pk, timezone.localtime(NOW + 2 * DAY).isoformat())


def test_an_earlier_end_does_not(clerk: Staff, coupon: Coupon) -> None:
    held = UserCouponFactory(coupon=coupon)
    save(clerk, coupon, NOW - DAY - timedelta(hours=5))
    held.refresh_from_db()
    assert held.expires_at == NOW - DAY
    save(clerk, coupon, NOW - DAY - timedelta(hours=4))
    held.refresh_from_db()
    assert held.expires_at == NOW - DAY


def test_a_change_that_is_refused_reaches_nobody(clerk: Staff, coupon: Coupon) -> None:
    UserCouponFactory(coupon=coupon)
    sent = form_of(coupon, valid_until=NOW + DAY, opened="opened before somebody else saved")
    with nothing_changes():
        assert "opened" not in errors_of(clerk.post("coupons_coupon_change", coupon.pk, **sent))


def test_a_fixed_amount_has_no_limit(clerk: Staff) -> None:
    coupon = CouponFactory(discount_value=1_000)
    with nothing_changes():
        refused = clerk.press("coupons_coupon_change", coupon.pk, max_discount=500)
    assert errors_of(refused) == {"max_discount": ["Only a percentage has a limit; a fixed amount is its own."]}
    assert clerk.press("coupons_coupon_change", coupon.pk, discount_type="PERCENT", discount_value=5, max_discount=500)
    coupon.refresh_from_db()
    assert coupon.max_discount == 500
