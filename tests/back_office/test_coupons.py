"""Coupons in the back-office: all terms can change before the first issue, few after it."""

from datetime import datetime, timedelta
from functools import partial
from typing import Any
from uuid import uuid4

import pytest
from django.utils import timezone

from commerce.audit.models import StaffAction
from commerce.audit.record import Staff as Actor
from commerce.idempotency.commit import Idempotency
from coupons.errors import CouponTermsFixed
from coupons.models import Coupon
from coupons.services import issue_coupon, save_coupon
from tests.back_office.staff import Staff, errors_of, messages_on
from tests.factories import CouponFactory, StaffFactory, UserFactory
from tests.shop_state import nothing_changes
from tests.together import together
from tests.web_forms import fields_of

pytestmark = pytest.mark.django_db(transaction=True)

CLERK = ("coupons.view_coupon", "coupons.change_coupon", "coupons.add_coupon")


@pytest.fixture
def clerk() -> Staff:
    return Staff(*CLERK)


@pytest.fixture
def coupon() -> Coupon:
    return CouponFactory(name="Spring", discount_value=1_000, total_quantity=10)


def form_of(coupon: Coupon, **changes: Any) -> dict[str, Any]:
    """The form values of the coupon's page; each time has two fields, in the shop's time zone."""
    values = {
        name: getattr(coupon, name)
        for name in ("name", "discount_type", "discount_value", "max_discount", "min_order_amount", "total_quantity")
    }
    values.update({name: getattr(coupon, name) for name in ("issue_starts_at", "issue_ends_at", "valid_until")})
    values.update(changes)
    sent: dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(value, datetime):
            local = timezone.localtime(value)
            sent[f"{name}_0"], sent[f"{name}_1"] = local.strftime("%Y-%m-%d"), local.strftime("%H:%M:%S.%f")
        else:
            sent[name] = value
    return sent


def issue_one(coupon: Coupon) -> None:
    issue_coupon(user_id=UserFactory().pk, coupon_id=coupon.pk, idempotency=Idempotency.none())


def test_a_new_coupon_has_issued_nothing(clerk: Staff) -> None:
    now = timezone.now()
    draft = Coupon(
        name="봄 / Spring",
        discount_type="PERCENT",
        discount_value=15,
        max_discount=5_000,
        min_order_amount=10_000,
        total_quantity=200,
        issue_starts_at=now,
        issue_ends_at=now + timedelta(days=3),
        valid_until=now + timedelta(days=30),
    )
    answer = clerk.post("coupons_coupon_add", **form_of(draft, issued_count=50, form_key=uuid4()))
    assert answer.status_code == 302
    coupon = Coupon.objects.get()
    assert (coupon.name, coupon.discount_type, coupon.discount_value, coupon.max_discount) == (
        "봄 / Spring",
        "PERCENT",
        15,
        5_000,
    )
    assert (coupon.min_order_amount, coupon.total_quantity, coupon.issued_count) == (10_000, 200, 0)
    assert (coupon.issue_starts_at, coupon.valid_until) == (now, now + timedelta(days=30))


def test_before_the_first_issue_every_term_can_change(clerk: Staff, coupon: Coupon) -> None:
    answer = clerk.press(
        "coupons_coupon_change",
        coupon.pk,
        **form_of(coupon, discount_type="PERCENT", discount_value=50, min_order_amount=5, total_quantity=3),
    )
    assert answer.status_code == 302
    coupon.refresh_from_db()
    assert (coupon.discount_type, coupon.discount_value, coupon.min_order_amount, coupon.total_quantity) == (
        "PERCENT",
        50,
        5,
        3,
    )


def test_after_the_first_issue_most_terms_are_fixed(clerk: Staff, coupon: Coupon) -> None:
    issue_one(coupon)
    opened = clerk.get("coupons_coupon_change", coupon.pk).context["adminform"].form
    assert list(opened.fields) == ["name", "total_quantity", "issue_ends_at", "valid_until", "opened", "confirmed"]
    later = coupon.valid_until + timedelta(days=1)
    answer = clerk.press(
        "coupons_coupon_change",
        coupon.pk,
        **form_of(
            coupon,
            name="Late spring",
            total_quantity=11,
            valid_until=later,
            discount_type="PERCENT",
            discount_value=1,
            min_order_amount=999_999,
            issue_starts_at=coupon.issue_starts_at - timedelta(days=1),
        ),
    )
    assert answer.status_code == 302
    stored = Coupon.objects.get()
    assert (stored.name, stored.total_quantity, stored.valid_until) == ("Late spring", 11, later)
    assert (stored.discount_type, stored.discount_value, stored.min_order_amount) == ("FIXED", 1_000, 0)
    assert (stored.issue_starts_at, stored.issued_count) == (coupon.issue_starts_at, 1)


def test_the_quantity_cannot_shrink_after_the_first_issue(clerk: Staff, coupon: Coupon) -> None:
    issue_one(coupon)
    with nothing_changes():
        answer = clerk.press("coupons_coupon_change", coupon.pk, **form_of(coupon, total_quantity=9))
    assert errors_of(answer) == {"total_quantity": ["Units can only be added once the coupon has been issued."]}


DAY = timedelta(days=1)


@pytest.mark.parametrize(
    "refusal",
    [
        ({"discount_type": "PERCENT", "discount_value": 101}, "discount_value", "A percentage is 1 to 100."),
        ({"discount_value": 0}, "discount_value", "Ensure this value is greater than or equal to 1."),
        ({"discount_value": -5}, "discount_value", "Ensure this value is greater than or equal to 1."),
        ({"max_discount": 0}, "max_discount", "Ensure this value is greater than or equal to 1."),
        ({"min_order_amount": -1}, "min_order_amount", "Ensure this value is greater than or equal to 0."),
        ({"total_quantity": 0}, "total_quantity", "Ensure this value is greater than or equal to 1."),
        ({"total_quantity": 2**31}, "total_quantity", "Ensure this value is less than or equal to 10,000,000."),
        ({"issue_ends_at": -2 * DAY}, "issue_ends_at", "The issue ends before it starts."),
        ({"valid_until": -DAY}, "valid_until", "A coupon issued at the end of the issue could never be used."),
        (
            {"discount_type": "GIFT"},
            "discount_type",
            "Select a valid choice. GIFT is not one of the available choices.",
        ),
        ({"name": ""}, "name", "This field is required."),
    ],
)
@pytest.mark.parametrize("page", ["add", "change"])
def test_contradicting_terms_are_reported_at_their_field(
    clerk: Staff, coupon: Coupon, refusal: tuple[dict[str, Any], str, str], page: str
) -> None:
    changes, field, message = refusal
    now = timezone.now()
    values = {name: now + value if isinstance(value, timedelta) else value for name, value in changes.items()}
    with nothing_changes():
        where = [coupon.pk] if page == "change" else []
        answer = clerk.press(f"coupons_coupon_{page}", *where, **form_of(coupon, form_key=uuid4(), **values))
    assert errors_of(answer) == {field: [message]}


def test_an_end_before_the_fixed_start_is_refused_after_the_first_issue(clerk: Staff, coupon: Coupon) -> None:
    issue_one(coupon)
    with nothing_changes():
        values = form_of(coupon, issue_ends_at=coupon.issue_starts_at - DAY)
        answer = clerk.press("coupons_coupon_change", coupon.pk, **values)
    assert errors_of(answer) == {"issue_ends_at": ["The issue ends before it starts."]}


def test_an_issue_while_the_page_is_open_fixes_the_terms(coupon: Coupon) -> None:
    opened = Coupon.objects.get(pk=coupon.pk)
    issue_one(coupon)
    opened.discount_value = 1
    by = Actor(StaffFactory().pk)
    with nothing_changes(), pytest.raises(CouponTermsFixed):
        save_coupon(opened, by=by)
    assert StaffAction.objects.count() == 0


def test_the_page_reports_terms_fixed_while_it_was_open(
    clerk: Staff, coupon: Coupon, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The unit is issued after the form was validated and before the service has acquired its lock."""

    def save_late(late: Coupon, **how: Any) -> Coupon:
        issue_one(late)
        return save_coupon(late, **how)

    monkeypatch.setattr("coupons.services.save_coupon", save_late)
    answer = clerk.press("coupons_coupon_change", coupon.pk, **form_of(coupon, discount_value=1))
    assert answer.status_code == 302
    page = clerk.get("coupons_coupon_change", coupon.pk).content.decode()
    assert "This coupon has been issued." in page
    stored = Coupon.objects.get()
    assert (stored.discount_value, stored.issued_count) == (1_000, 1)


def test_saving_keeps_concurrent_issues(coupon: Coupon) -> None:
    opened = Coupon.objects.get(pk=coupon.pk)
    issue_one(coupon)
    opened.name = "Renamed"
    save_coupon(opened, by=Actor(StaffFactory().pk))
    stored = Coupon.objects.get()
    assert (stored.name, stored.issued_count) == ("Renamed", 1)


class TestAFormThatIsSentTwice:
    """The same form is submitted twice."""

    @pytest.fixture
    def sent(self, clerk: Staff, coupon: Coupon) -> dict[str, Any]:
        opened = fields_of(clerk.get("coupons_coupon_add").content.decode())
        return {**form_of(coupon, name="Summer"), "form_key": opened["form_key"]}

    def test_creates_one_coupon_and_shows_the_same_message(self, clerk: Staff, sent: dict[str, Any]) -> None:
        first, second = (clerk.post("coupons_coupon_add", **sent) for _ in range(2))
        summer = Coupon.objects.get(name="Summer")
        for answer in (first, second):
            assert answer.status_code == 302
            assert f"/admin/coupons/coupon/{summer.pk}/change/" in messages_on(answer)[-1]
        assert StaffAction.objects.filter(action="Added").count() == 1

    def test_creates_one_coupon_in_concurrent_requests(self, clerk: Staff, sent: dict[str, Any]) -> None:
        answers = together([partial(clerk.post, "coupons_coupon_add", **sent)] * 4)
        assert [answer.status_code for answer in answers] == [302] * 4
        assert Coupon.objects.filter(name="Summer").count() == 1

    def test_with_another_key_creates_another_coupon(self, clerk: Staff, sent: dict[str, Any]) -> None:
        clerk.post("coupons_coupon_add", **sent)
        clerk.post("coupons_coupon_add", **{**sent, "form_key": uuid4()})
        assert Coupon.objects.filter(name="Summer").count() == 2


def test_changes_are_recorded_before_and_after(clerk: Staff, coupon: Coupon) -> None:
    clerk.press("coupons_coupon_change", coupon.pk, **form_of(coupon, name="Late spring", total_quantity=11))
    action = StaffAction.objects.get()
    assert (action.actor, action.action, action.subject_type, action.subject_id) == (
        clerk.user,
        "Changed",
        "coupons.coupon",
        str(coupon.pk),
    )
    assert action.before == {"name": "Spring", "total_quantity": 10}
    assert action.after == {"name": "Late spring", "total_quantity": 11}


def test_a_new_coupon_is_recorded_with_its_terms(clerk: Staff, coupon: Coupon) -> None:
    clerk.post("coupons_coupon_add", **form_of(coupon, name="Summer", form_key=uuid4()))
    action = StaffAction.objects.get()
    assert (action.action, action.subject_id) == ("Added", str(Coupon.objects.get(name="Summer").pk))
    assert (action.before, action.after["name"], action.after["discount_value"]) == ({}, "Summer", 1_000)


def test_viewers_may_not_change_or_add_coupons(coupon: Coupon) -> None:
    onlooker = Staff("coupons.view_coupon")
    assert onlooker.get("coupons_coupon_change", coupon.pk).status_code == 200
    with nothing_changes():
        assert onlooker.post("coupons_coupon_change", coupon.pk, **form_of(coupon, name="X")).status_code == 403
        assert onlooker.post("coupons_coupon_add", **form_of(coupon, form_key=uuid4())).status_code == 403
