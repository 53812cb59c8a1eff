"""`GET /api/coupons`, `POST /api/coupons/{couponId}/issue` and `GET /api/users/coupons`."""

import json
from datetime import timedelta

import pytest
from django.utils import timezone

from balances.models import User
from commerce.outbox.models import OutboxMessage
from coupons.models import Coupon, DiscountType, UserCoupon
from tests.factories import (
    CouponFactory,
    ProductFactory,
    StaffFactory,
    UserCouponFactory,
    UserFactory,
    expired_coupon_of,
    order_of,
)
from tests.groups import round_trips
from tests.shop_state import nothing_changes, statements
from tests.shopper import Shopper

pytestmark = pytest.mark.django_db(transaction=True)

COUPONS = "/api/coupons"
WALLET = "/api/users/coupons"


@pytest.fixture
def coupon() -> Coupon:
    return CouponFactory(
        name="Spring",
        discount_type=DiscountType.PERCENT,
        discount_value=15,
        max_discount=5_000,
        min_order_amount=2_000,
        total_quantity=3,
    )


class TestCouponsOpenForIssue:
    """The public list."""

    def test_an_open_coupon_is_shown_with_what_remains(self, stranger: Shopper, coupon: Coupon) -> None:
        UserCouponFactory(coupon=coupon)
        with statements() as ran:
            answer = stranger.get(COUPONS)
        assert answer.status == 200
        assert answer.json == {
            "next": None,
            "previous": None,
            "results": [
                {
                    "id": coupon.pk,
                    "name": "Spring",
                    "discountType": "PERCENT",
                    "discountValue": 15,
                    "maxDiscount": 5_000,
                    "minOrderAmount": 2_000,
                    "totalQuantity": 3,
                    "remaining": 2,
                    "issueStartsAt": timezone.localtime(coupon.issue_starts_at).isoformat(),
                    "issueEndsAt": timezone.localtime(coupon.issue_ends_at).isoformat(),
                    "validUntil": timezone.localtime(coupon.valid_until).isoformat(),
                }
            ],
        }
        assert len(ran) == 1

    def test_only_coupons_whose_window_is_open_are_shown(self, stranger: Shopper) -> None:
        now = timezone.now()
        CouponFactory(issue_starts_at=now + timedelta(minutes=1))
        CouponFactory(issue_starts_at=now - timedelta(days=2), issue_ends_at=now - timedelta(minutes=1))
        fixed = CouponFactory()
        [shown] = stranger.get(COUPONS).json["results"]
        assert (shown["id"], shown["discountType"], shown["maxDiscount"]) == (fixed.pk, "FIXED", None)

    def test_a_sold_out_coupon_is_shown_with_nothing_left(self, stranger: Shopper) -> None:
        UserCouponFactory(coupon=CouponFactory(total_quantity=1))
        assert [each["remaining"] for each in stranger.get(COUPONS).json["results"]] == [0]

    def test_the_list_accepts_a_token(self, user: User, coupon: Coupon) -> None:
        assert Shopper(user).get(COUPONS).status == 200


class TestIssuing:
    """First come, first served, one per user."""

    def test_a_coupon_is_issued(self, user: User, coupon: Coupon) -> None:
        before = timezone.now()
        with round_trips() as trips:
            answer = Shopper(user).post(f"{COUPONS}/{coupon.pk}/issue")
        unit = UserCoupon.objects.get()
        assert answer.status == 200
        assert answer.json == {
            "id": unit.pk,
            "couponId": coupon.pk,
            "name": "Spring",
            "discountType": "PERCENT",
            "discountValue": 15,
            "maxDiscount": 5_000,
            "minOrderAmount": 2_000,
            "status": "AVAILABLE",
            "issuedAt": timezone.localtime(unit.issued_at).isoformat(),
            "expiresAt": timezone.localtime(coupon.valid_until).isoformat(),
            "usedAt": None,
        }
        assert before <= unit.issued_at <= timezone.now()
        assert (unit.user_id, unit.status) == (user.pk, "AVAILABLE")
        coupon.refresh_from_db()
        assert coupon.issued_count == 1
        assert [len(sent) for sent in trips.postgresql] == [5, 2]
        assert (trips.locks, trips.cache) == (2, 0)

    def test_an_issue_publishes_an_event(self, user: User, coupon: Coupon) -> None:
        issued = Shopper(user).post(f"{COUPONS}/{coupon.pk}/issue").json
        message = OutboxMessage.objects.get()
        assert (message.type, message.destination) == ("coupon-issued", "kafka")
        assert message.aggregate_id == str(user.pk)
        assert json.loads(message.payload)["data"] == {
            "userId": user.pk,
            "userCouponId": issued["id"],
            "couponId": coupon.pk,
        }

    def test_an_issued_coupon_is_in_the_wallet(self, user: User, coupon: Coupon) -> None:
        shopper = Shopper(user)
        issued = shopper.post(f"{COUPONS}/{coupon.pk}/issue").json
        assert shopper.get(WALLET).json["results"] == [issued]

    def test_the_second_issue_of_the_same_coupon_is_refused(self, user: User, coupon: Coupon) -> None:
        shopper = Shopper(user)
        shopper.post(f"{COUPONS}/{coupon.pk}/issue")
        with nothing_changes():
            answer = shopper.post(f"{COUPONS}/{coupon.pk}/issue")
        assert answer.outcome == (400, "coupon_already_issued")
        assert answer.json["detail"] == "You have this coupon already; there is one per customer."

    def test_after_the_last_issue_the_coupon_is_sold_out(self, user: User) -> None:
        coupon = CouponFactory(total_quantity=1)
        UserCouponFactory(coupon=coupon)
        with nothing_changes():
            answer = Shopper(user).post(f"{COUPONS}/{coupon.pk}/issue")
        assert answer.outcome == (400, "coupon_sold_out")

    def test_already_issued_takes_precedence_over_sold_out(self, user: User) -> None:
        coupon = CouponFactory(total_quantity=1)
        UserCouponFactory(coupon=coupon, user=user)
        assert Shopper(user).post(f"{COUPONS}/{coupon.pk}/issue").outcome == (400, "coupon_already_issued")

    @pytest.mark.parametrize(
        ("starts_in", "ends_in"),
        [(timedelta(minutes=1), timedelta(days=1)), (timedelta(days=-2), timedelta(seconds=-1))],
        ids=["not yet", "no longer"],
    )
    def test_outside_its_window_a_coupon_is_not_open(
        self, user: User, starts_in: timedelta, ends_in: timedelta
    ) -> None:
        now = timezone.now()
        coupon = CouponFactory(issue_starts_at=now + starts_in, issue_ends_at=now + ends_in)
        with nothing_changes():
            answer = Shopper(user).post(f"{COUPONS}/{coupon.pk}/issue")
        assert answer.outcome == (400, "coupon_not_open")

    @pytest.mark.parametrize("number", ["999999999", "0", "9" * 18])
    def test_an_unknown_coupon_is_not_found(self, user: User, number: str) -> None:
        with nothing_changes():
            answer = Shopper(user).post(f"{COUPONS}/{number}/issue")
        assert answer.outcome == (404, "coupon_not_found")
        assert answer.json["detail"] == f"There is no coupon {int(number)}."

    def test_an_issue_to_a_deleted_account_is_refused(self, coupon: Coupon) -> None:
        user = UserFactory()
        shopper = Shopper(user)
        user.delete()
        with nothing_changes():
            assert shopper.post(f"{COUPONS}/{coupon.pk}/issue").outcome == (404, "user_not_found")

    def test_an_issue_to_a_closed_account_is_refused(self, user: User, coupon: Coupon) -> None:
        shopper = Shopper(user)
        User.objects.update(is_active=False)
        with nothing_changes():
            assert shopper.post(f"{COUPONS}/{coupon.pk}/issue").outcome == (404, "user_not_found")

    def test_staff_can_get_a_coupon(self, coupon: Coupon) -> None:
        clerk = StaffFactory()
        Shopper(clerk).post(f"{COUPONS}/{coupon.pk}/issue")
        assert UserCoupon.objects.get().user_id == clerk.pk

    def test_a_body_is_refused(self, user: User, coupon: Coupon) -> None:
        body = {"userId": 1, "status": "USED", "discountValue": 100}
        with nothing_changes():
            answer = Shopper(user).post(f"{COUPONS}/{coupon.pk}/issue", body)
        assert {error["code"] for error in answer.json["errors"]} == {"unknown_field"}


class TestCouponsHeld:
    """The coupons of the caller."""

    def test_each_status_lists_its_coupons_with_one_query(self, user: User) -> None:
        available = UserCouponFactory(user=user)
        expired = expired_coupon_of(user)
        used = UserCouponFactory(user=user)
        order_of(user, {ProductFactory(price=5_000): 1}, coupon=used)
        UserCouponFactory()  # someone else's
        shopper = Shopper(user)

        def listed(**query: str) -> list[tuple[int, str]]:
            with statements() as ran:
                answer = shopper.get(WALLET, query)
            assert len(ran) == 1
            return [(unit["id"], unit["status"]) for unit in answer.json["results"]]

        assert listed() == [(available.pk, "AVAILABLE")]
        assert listed(status="AVAILABLE") == [(available.pk, "AVAILABLE")]
        assert listed(status="USED") == [(used.pk, "USED")]
        assert listed(status="EXPIRED") == [(expired.pk, "EXPIRED")]
        assert listed(status="ALL") == [(used.pk, "USED"), (expired.pk, "EXPIRED"), (available.pk, "AVAILABLE")]

    def test_a_used_coupon_has_used_at(self, user: User) -> None:
        unit = UserCouponFactory(user=user)
        order = order_of(user, {ProductFactory(price=5_000): 1}, coupon=unit)
        [shown] = Shopper(user).get(WALLET, status="USED").json["results"]
        assert shown["usedAt"] == timezone.localtime(order.created_at).isoformat()

    def test_staff_see_any_wallet(self, user: User) -> None:
        unit = UserCouponFactory(user=user)
        answer = Shopper(StaffFactory()).get(WALLET, userId=user.pk)
        assert [each["id"] for each in answer.json["results"]] == [unit.pk]

    def test_another_users_wallet_is_forbidden(self, user: User) -> None:
        assert Shopper(UserFactory()).get(WALLET, userId=user.pk).outcome == (403, "permission_denied")

    @pytest.mark.parametrize("status", ["GONE", "available", ""])
    def test_an_unknown_status_is_refused(self, user: User, status: str) -> None:
        answer = Shopper(user).get(WALLET, status=status)
        assert answer.outcome == (400, "validation_error")
        assert [(error["field"], error["code"]) for error in answer.json["errors"]] == [("status", "invalid_choice")]
