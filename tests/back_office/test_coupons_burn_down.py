"""Coupons in the back-office: state, progress, holders, exports."""

import re
from dataclasses import fields
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.utils import timezone

from commerce.audit.models import StaffAction
from commerce.core import sql
from commerce.core.errors import DomainError
from commerce.idempotency.commit import Idempotency
from coupons import selectors
from coupons.errors import CouponNotOpen, CouponSoldOut
from coupons.models import Coupon, CouponState, UserCoupon, UserCouponStatus
from coupons.rules import LimitedCoupon
from coupons.services import issue_coupon
from tests.back_office.staff import Page, Staff
from tests.factories import CouponFactory, UserCouponFactory, UserFactory, expired_coupon_of
from tests.shop_state import statements

pytestmark = pytest.mark.django_db(transaction=True)

NOW = datetime.fromisoformat("2026-03-02T12:00:00+09:00")
INSTANT = timedelta(microseconds=1)
HOUR = timedelta(hours=1)
SCHEDULED, OPEN, SOLD_OUT, ENDED = (state.value for state in CouponState)


@pytest.fixture
def clerk() -> Staff:
    return Staff("coupons.view_coupon", "coupons.view_usercoupon")


@pytest.fixture
def exporter() -> Staff:
    return Staff(
        *("coupons.view_coupon", "coupons.view_usercoupon"), *("coupons.export_coupon", "coupons.export_usercoupon")
    )


def coupon_of(*, begins: timedelta, ends: timedelta, issued: int = 0) -> Coupon:
    """A coupon with two units, whose issue starts and ends at these times relative to NOW."""
    return CouponFactory(
        issue_starts_at=NOW + begins,
        issue_ends_at=NOW + ends,
        valid_until=NOW + ends + HOUR,
        total_quantity=2,
        issued_count=issued,
    )


def of_each_state() -> dict[str, Coupon]:
    """One coupon for each state."""
    now = timezone.now()
    day = timedelta(days=1)
    full: Coupon = CouponFactory(total_quantity=1)
    UserCouponFactory(coupon=full)
    return {
        SCHEDULED: CouponFactory(issue_starts_at=now + day, issue_ends_at=now + 2 * day),
        OPEN: CouponFactory(),
        SOLD_OUT: full,
        ENDED: CouponFactory(issue_starts_at=now - 2 * day, issue_ends_at=now - day),
    }


def issuing(coupon: Coupon) -> LimitedCoupon:
    """The coupon as an object of the rules."""
    names = [field.name for field in fields(LimitedCoupon) if field.name != "issued"]
    return LimitedCoupon(**{name: getattr(coupon, name) for name in names})


class TestAState:
    """Label, filter, public list and issue use the same definition of a state."""

    WINDOWS = pytest.mark.parametrize(
        ("begins", "ends", "issued", "expected"),
        [
            (INSTANT, HOUR, 0, SCHEDULED),
            (INSTANT, HOUR, 2, SCHEDULED),
            (timedelta(0), HOUR, 0, OPEN),
            (-HOUR, INSTANT, 1, OPEN),
            (timedelta(0), HOUR, 2, SOLD_OUT),
            (-HOUR, INSTANT, 2, SOLD_OUT),
            (-HOUR, timedelta(0), 0, ENDED),
            (-HOUR, timedelta(0), 2, ENDED),
        ],
    )

    @WINDOWS
    def test_is_one_of_four_to_the_microsecond(
        self, begins: timedelta, ends: timedelta, issued: int, expected: str
    ) -> None:
        coupon = coupon_of(begins=begins, ends=ends, issued=issued)
        fits = [
            state.value
            for state, condition in selectors.state_conditions(NOW).items()
            if Coupon.objects.filter(condition, pk=coupon.pk).exists()
        ]
        assert fits == [expected]
        [labelled] = selectors.with_state(Coupon.objects.all(), NOW)
        assert getattr(labelled, "state") == expected  # noqa: B009  # an annotation, which no type knows

    @WINDOWS
    def test_agrees_with_the_api(self, begins: timedelta, ends: timedelta, issued: int, expected: str) -> None:
        coupon = coupon_of(begins=begins, ends=ends, issued=issued)
        assert selectors.open_coupons(NOW).exists() == (expected in (OPEN, SOLD_OUT))
        refusal: type[DomainError] | None = None
        try:
            issuing(coupon).issue_to(1, has_one=False, user_coupon_id=1, now=NOW)
        except DomainError as error:
            refusal = type(error)
        assert (
            refusal == {OPEN: None, SOLD_OUT: CouponSoldOut, SCHEDULED: CouponNotOpen, ENDED: CouponNotOpen}[expected]
        )

    def test_is_shown_on_the_list_and_on_the_page(self, clerk: Staff) -> None:
        coupons = of_each_state()
        listed = clerk.get("coupons_coupon_changelist").content.decode()
        for state, coupon in coupons.items():
            assert label(listed, str(CouponState(state).label))
            assert label(clerk.get("coupons_coupon_change", coupon.pk).content.decode(), str(CouponState(state).label))

    @pytest.mark.parametrize("state", [SCHEDULED, OPEN, SOLD_OUT, ENDED])
    def test_filters_the_list(self, clerk: Staff, state: str) -> None:
        coupons = of_each_state()
        page = clerk.get("coupons_coupon_changelist", state=state)
        assert list(page.context["cl"].result_list) == [coupons[state]]

    def test_an_unknown_value_is_ignored_by_the_filter(self, clerk: Staff) -> None:
        of_each_state()
        assert len(clerk.get("coupons_coupon_changelist", state="X").context["cl"].result_list) == 4


def label(page: str, text: str) -> bool:
    """Whether the page contains this label."""
    return re.search(rf"whitespace-nowrap\s[^>]*>\s*{text}\s*</span>", page) is not None


def units_of(coupon: Coupon, count: int, *, used: int) -> None:
    """Issue `count` units; the first `used` of them are used."""
    for number in range(count):
        status = {"status": UserCouponStatus.USED, "used_at": timezone.now()} if number < used else {}
        UserCouponFactory(coupon=coupon, **status)


class TestBurningDown:
    """The progress: units issued, and units used."""

    def test_is_shown_for_each_coupon_of_the_list(self, clerk: Staff) -> None:
        spring, autumn = CouponFactory(total_quantity=10), CouponFactory(total_quantity=4)
        units_of(spring, 3, used=1)
        units_of(autumn, 4, used=0)
        page = clerk.get("coupons_coupon_changelist")
        assert [(row.pk, row.issued_count, row.used_count) for row in page.context["cl"].result_list] == [
            (autumn.pk, 4, 0),
            (spring.pk, 3, 1),
        ]
        text = page.content.decode()
        for numbers in ("3 / 10", "1 / 3", "4 / 4", "0 / 4"):
            assert numbers in text

    def test_takes_a_constant_number_of_queries(self, clerk: Staff) -> None:
        units_of(CouponFactory(), 2, used=1)
        with statements() as few:
            clerk.get("coupons_coupon_changelist")
        for _ in range(5):
            units_of(CouponFactory(), 2, used=1)
        with statements() as many:
            clerk.get("coupons_coupon_changelist")
        assert len(many) == len(few) <= 8

    def test_is_on_the_page_beside_the_number_of_rows(self, clerk: Staff) -> None:
        coupon = CouponFactory(total_quantity=10)
        units_of(coupon, 3, used=2)
        page = clerk.get("coupons_coupon_change", coupon.pk)
        assert page.context["tally"] == selectors.Tally(issued_count=3, rows=3, used=2)
        text = page.content.decode()
        assert label(text, "OK")
        assert not label(text, "Differs")
        assert "3 / 10" in text
        assert "2 / 3" in text

    def test_a_count_that_differs_from_the_rows_is_reported(self, clerk: Staff) -> None:
        coupon = CouponFactory(total_quantity=10)
        units_of(coupon, 3, used=0)
        Coupon.objects.update(issued_count=5)
        text = clerk.get("coupons_coupon_change", coupon.pk).content.decode()
        assert label(text, "Differs")
        assert not label(text, "OK")
        assert "5 counted, 3 rows" in text

    def test_is_counted_in_one_statement(self) -> None:
        coupon = CouponFactory(total_quantity=10)
        units_of(coupon, 2, used=1)
        with statements() as ran:
            assert selectors.tally(coupon.pk) == selectors.Tally(2, 2, 1)
        assert len(ran) == 1


class TestHolders:
    """The list of holders."""

    def test_the_latest_are_on_the_coupons_page(self, clerk: Staff) -> None:
        coupon = CouponFactory(total_quantity=100)
        units_of(coupon, 52, used=1)
        UserCouponFactory()
        page = clerk.get("coupons_coupon_change", coupon.pk)
        units = [unit for unit, _status, _colour in page.context["holders"]]
        assert [unit.pk for unit in units] == list(
            UserCoupon.objects.filter(coupon=coupon).order_by("-pk").values_list("pk", flat=True)[:50]
        )
        text = page.content.decode()
        assert f"/admin/coupons/usercoupon/?coupon__id__exact={coupon.pk}" in text
        assert units[0].user.username in text

    def test_are_hidden_without_the_permission(self) -> None:
        coupon = CouponFactory()
        holder = UserFactory(username="mina")
        UserCouponFactory(coupon=coupon, user=holder)
        text = Staff("coupons.view_coupon").get("coupons_coupon_change", coupon.pk).content.decode()
        assert "mina" not in text
        assert "Who got one" not in text

    def test_are_found_by_coupon_status_and_name(self, clerk: Staff) -> None:
        spring = CouponFactory(total_quantity=10)
        mina = UserFactory(username="mina")
        held = UserCouponFactory(coupon=spring, user=mina)
        used = UserCouponFactory(coupon=spring, status=UserCouponStatus.USED, used_at=timezone.now())
        other = UserCouponFactory(user=mina)
        over = expired_coupon_of(mina)

        def shown(**asked: Any) -> list[UserCoupon]:
            return list(clerk.get("coupons_usercoupon_changelist", **asked).context["cl"].result_list)

        assert shown(coupon__id__exact=spring.pk) == [used, held]
        assert shown(coupon__id__exact=spring.pk, status="USED") == [used]
        assert shown(status="EXPIRED") == [over]
        assert shown(status="AVAILABLE") == [other, held]
        assert shown(q="mina") == [over, other, held]
        assert shown(q="min") == []

    def test_are_found_by_the_day_of_issue(self, clerk: Staff) -> None:
        midnight = datetime.fromisoformat("2026-03-02T00:00:00+09:00")
        moments = [midnight - INSTANT, midnight, midnight + timedelta(days=1) - INSTANT, midnight + timedelta(days=1)]
        units = [UserCouponFactory(issued_at=moment) for moment in moments]

        def shown(first: str, last: str) -> list[UserCoupon]:
            page = clerk.get("coupons_usercoupon_changelist", issued_at_from=first, issued_at_to=last)
            return list(page.context["cl"].result_list)

        assert shown("2026-03-02", "2026-03-02") == [units[2], units[1]]
        assert shown("2026-03-03", "") == [units[3]]
        assert shown("", "2026-03-01") == [units[0]]

    def test_an_invalid_day_is_reported_and_matches_nothing(self, clerk: Staff) -> None:
        answer = clerk.get("coupons_usercoupon_changelist", issued_at_from="2026-02-30")
        assert (answer.status_code, answer.headers["Location"]) == (302, "/admin/coupons/usercoupon/?e=1")

    @pytest.mark.parametrize("coupon", ["x", "9" * 30, "\0"])
    def test_a_forged_coupon_id_matches_nothing(self, clerk: Staff, coupon: str) -> None:
        UserCouponFactory()
        answer = clerk.get("coupons_usercoupon_changelist", coupon__id__exact=coupon)
        assert answer.status_code in (302, 400)

    def test_coupons_are_offered_by_name(self, clerk: Staff) -> None:
        spring = CouponFactory(name="Spring")
        CouponFactory(name="Autumn")
        asked = {"app_label": "coupons", "model_name": "usercoupon", "field_name": "coupon", "term": "pri"}
        answer = clerk.client.get("/admin/autocomplete/", asked)
        assert answer.json()["results"] == [{"id": str(spring.pk), "text": "Spring"}]


def lines_of(answer: Page) -> list[list[str]]:
    """The cells of a CSV file whose cells contain no commas."""
    assert answer.status_code == 200
    return [line.split(",") for line in answer.content.decode("utf-8-sig").splitlines()]


class TestAFile:
    """Exports contain the rows of the list and require the permission."""

    def test_of_coupons_has_the_counts(self, exporter: Staff) -> None:
        coupons = of_each_state()
        units_of(coupons[OPEN], 3, used=2)
        lines = lines_of(exporter.client.get("/admin/coupons/coupon/export.csv", {"state": "OPEN"}))
        assert len(lines) == 2
        assert lines[0][:3] + lines[0][7:10] == ["number", "name", "state", "units", "issued", "used"]
        coupon = coupons[OPEN]
        assert lines[1][:3] + lines[1][7:10] == [str(coupon.pk), coupon.name, "Open", "10", "3", "2"]
        action = StaffAction.objects.get()
        assert (action.action, action.subject_type) == ("Exported", "coupons.coupon")
        assert action.after == {"rows": 1, "filter": "state=OPEN", "format": "csv"}

    def test_of_holders_has_those_of_the_list(self, exporter: Staff) -> None:
        spring = CouponFactory(name="Spring")
        units_of(spring, 2, used=1)
        UserCouponFactory()
        where = "/admin/coupons/usercoupon/export.csv"
        lines = lines_of(exporter.client.get(f"{where}?coupon__id__exact={spring.pk}&status=USED"))
        used = UserCoupon.objects.get(status="USED")
        assert [line[:6] for line in lines[1:]] == [
            [str(used.pk), str(spring.pk), "Spring", str(used.user_id), used.user.username, "Used"]
        ]

    def test_takes_a_constant_number_of_queries_too(self, exporter: Staff) -> None:
        for where in ("/admin/coupons/coupon/export.csv", "/admin/coupons/usercoupon/export.csv"):
            units_of(CouponFactory(), 1, used=1)
            with statements() as few:
                exporter.client.get(where)
            units_of(CouponFactory(), 5, used=1)
            with statements() as many:
                assert exporter.client.get(where).status_code == 200
            assert len(many) == len(few)

    def test_requires_the_export_permission(self, clerk: Staff) -> None:
        for model in ("coupon", "usercoupon"):
            assert clerk.client.get(f"/admin/coupons/{model}/export.csv").status_code == 403
            assert "export.csv" not in clerk.get(f"coupons_{model}_changelist").content.decode()
        assert StaffAction.objects.count() == 0


def test_the_clock_of_the_label_is_that_of_the_page(clerk: Staff) -> None:
    """The state is computed from the current time, so an issue that has just ended is shown as ended."""
    coupon = CouponFactory()
    issue_coupon(user_id=UserFactory().pk, coupon_id=coupon.pk, idempotency=Idempotency.none())
    sql.execute("UPDATE coupon SET issue_ends_at = clock_timestamp() WHERE id = %s", [coupon.pk])
    [row] = clerk.get("coupons_coupon_changelist").context["cl"].result_list
    assert row.state == ENDED
