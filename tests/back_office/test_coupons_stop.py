"""Stopping a coupon: its window ends now, with a reason, once; issued coupons stay valid."""

from collections.abc import Callable
from datetime import timedelta
from functools import partial
from typing import Any
from uuid import uuid4

import pytest
from django.db import transaction
from django.urls import reverse
from django.utils import timezone

from balances.models import User
from commerce.audit.models import StaffAction
from commerce.audit.record import Staff as Actor
from commerce.idempotency.commit import Idempotency
from coupons import operations
from coupons.errors import CouponNotOpen, CouponNotRunning
from coupons.models import Coupon, UserCoupon
from coupons.services import stop_coupon
from tests.back_office.staff import Staff, errors_of, messages_on
from tests.factories import CouponFactory, StaffFactory, UserFactory, issued
from tests.shop_state import nothing_changes
from tests.together import together
from tests.web_forms import fields_of

pytestmark = pytest.mark.django_db(transaction=True)

PAGE = "coupons_coupon_stop"
DAY = timedelta(days=1)


@pytest.fixture
def clerk() -> Staff:
    return Staff("coupons.view_coupon", "coupons.change_coupon")


@pytest.fixture
def coupon() -> Coupon:
    return CouponFactory(name="Spring", total_quantity=10)


def form_of(clerk: Staff, coupon: Coupon) -> dict[str, Any]:
    """The form values of the page, with a reason."""
    return {**fields_of(clerk.get(PAGE, coupon.pk).content.decode()), "reason": "Wrong discount."}


def issue_to(user_id: int, coupon: Coupon) -> UserCoupon:
    return issued(User.objects.get(pk=user_id), coupon)


def test_issuing_stops_and_holders_keep_their_coupons(clerk: Staff, coupon: Coupon) -> None:
    held, late = issue_to(UserFactory().pk, coupon), UserFactory()
    page = clerk.get(PAGE, coupon.pk).content.decode()
    assert "1 of 10 units are issued; 9 will not be." in page
    before = timezone.now()
    answer = clerk.post(PAGE, coupon.pk, **form_of(clerk, coupon))
    assert (answer.status_code, messages_on(answer)) == (302, ["Spring is stopped. No more units are issued."])
    stored = Coupon.objects.get()
    assert before <= stored.issue_ends_at <= timezone.now()
    assert (stored.issued_count, stored.valid_until, stored.issue_starts_at) == (
        1,
        coupon.valid_until,
        coupon.issue_starts_at,
    )
    with nothing_changes(), pytest.raises(CouponNotOpen):
        issue_to(late.pk, coupon)
    kept = UserCoupon.objects.get()
    assert (kept.pk, kept.status, kept.expires_at) == (held.pk, "AVAILABLE", held.expires_at)


def test_it_is_recorded_with_its_reason(clerk: Staff, coupon: Coupon) -> None:
    clerk.post(PAGE, coupon.pk, **form_of(clerk, coupon))
    action = StaffAction.objects.get()
    assert (action.actor, action.action, action.subject_id, action.reason) == (
        clerk.user,
        "Stopped",
        str(coupon.pk),
        "Wrong discount.",
    )
    assert action.before == {"issue_ends_at": timezone.localtime(coupon.issue_ends_at).isoformat()}
    assert action.after == {"issue_ends_at": timezone.localtime(Coupon.objects.get().issue_ends_at).isoformat()}


def test_without_a_reason_it_is_not_stopped(clerk: Staff, coupon: Coupon) -> None:
    with nothing_changes():
        answer = clerk.post(PAGE, coupon.pk, **{**form_of(clerk, coupon), "reason": " "})
    assert errors_of(answer) == {"reason": ["This field is required."]}


def test_a_form_sent_twice_stops_once(clerk: Staff, coupon: Coupon) -> None:
    sent = form_of(clerk, coupon)
    first = clerk.post(PAGE, coupon.pk, **sent)
    ended_at = Coupon.objects.get().issue_ends_at
    second = clerk.post(PAGE, coupon.pk, **sent)
    assert [answer.status_code for answer in (first, second)] == [302, 302]
    assert messages_on(second)[-1] == "Already done, and not repeated. Spring is stopped. No more units are issued."
    assert Coupon.objects.get().issue_ends_at == ended_at
    assert StaffAction.objects.count() == 1


def test_two_members_of_staff_stop_it_once(clerk: Staff, coupon: Coupon) -> None:
    other = Staff("coupons.view_coupon", "coupons.change_coupon")
    forms = [(staff, form_of(staff, coupon)) for staff in (clerk, other)]
    answers = together([partial(staff.post, PAGE, coupon.pk, **form) for staff, form in forms])
    # The second one gets the confirmation with the refusal, or a redirect to the coupon.
    assert {answer.status_code for answer in answers} <= {200, 302}
    assert StaffAction.objects.count() == 1


@pytest.mark.parametrize(("begins", "ends"), [(DAY, 2 * DAY), (-2 * DAY, -DAY)], ids=["has not begun", "is over"])
def test_stopping_a_closed_window_is_refused(clerk: Staff, begins: timedelta, ends: timedelta) -> None:
    now = timezone.now()
    coupon = CouponFactory(issue_starts_at=now + begins, issue_ends_at=now + ends)
    assert "Stop now" not in clerk.get("coupons_coupon_change", coupon.pk).content.decode()
    with nothing_changes():
        for answer in (
            clerk.get(PAGE, coupon.pk),
            clerk.post(PAGE, coupon.pk, form_key=uuid4(), reason="Wrong discount."),
        ):
            assert answer.headers["Location"] == reverse("admin:coupons_coupon_change", args=[coupon.pk])
            assert (
                messages_on(answer)[-1] == "The issue of this coupon has not begun or has ended. Nothing was changed."
            )
    assert StaffAction.objects.count() == 0


def test_a_window_cannot_be_stopped_at_its_bounds(coupon: Coupon) -> None:
    for moment in (coupon.issue_starts_at, coupon.issue_ends_at):
        with nothing_changes(), transaction.atomic(), pytest.raises(CouponNotRunning):
            operations.stop(coupon.pk, now=moment)


def test_viewers_may_not_stop_it(coupon: Coupon) -> None:
    onlooker = Staff("coupons.view_coupon")
    assert "Stop now" not in onlooker.get("coupons_coupon_change", coupon.pk).content.decode()
    with nothing_changes():
        assert onlooker.get(PAGE, coupon.pk).status_code == 403
        assert onlooker.post(PAGE, coupon.pk, reason="Mine.").status_code == 403


def test_an_unknown_coupon_is_not_found(clerk: Staff) -> None:
    assert clerk.get(PAGE, 777).status_code == 404


def test_concurrent_issues_end_before_the_stop_or_are_refused(coupon: Coupon) -> None:
    by = Actor(StaffFactory().pk, "Enough.")

    def is_issued(user_id: int) -> bool:
        try:
            issue_to(user_id, coupon)
        except CouponNotOpen:
            return False
        return True

    def is_stopped() -> bool:
        return stop_coupon(coupon_id=coupon.pk, by=by, idempotency=Idempotency.none()).pk == coupon.pk

    wishes: list[Callable[[], bool]] = [partial(is_issued, UserFactory().pk) for _ in range(5)]
    *issued, stopped = together([*wishes, is_stopped])
    stored = Coupon.objects.get()
    assert stopped
    assert stored.issued_count == UserCoupon.objects.count() == sum(issued)
    assert UserCoupon.objects.filter(issued_at__gte=stored.issue_ends_at).count() == 0
