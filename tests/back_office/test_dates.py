"""The supported range of dates: enforced in forms and in the database; stored dates never break a page."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from importlib import import_module
from typing import Any
from uuid import uuid4

import pytest
from django.core.management import CommandError, call_command
from django.db import IntegrityError
from django.urls import reverse
from django.utils import timezone

from commerce.core import sql
from coupons.models import Coupon, UserCoupon
from tests.back_office.staff import Staff, errors_of
from tests.back_office.test_coupons import form_of
from tests.factories import CouponFactory, UserCouponFactory
from tests.shop_state import nothing_changes
from tests.shopper import Shopper

pytestmark = pytest.mark.django_db(transaction=True)

CONSTRAINTS = {"coupon": "coupon_times_in_range", "user_coupon": "user_coupon_expiry_in_range"}
OUT_OF_RANGE = ["A day from 1970-01-01 to 2199-12-31 is needed."]


@pytest.fixture
def clerk() -> Staff:
    return Staff(superuser=True)


@pytest.fixture
def without_constraints() -> Iterator[None]:
    """The tables without the constraints."""
    rules = {}
    for table, name in CONSTRAINTS.items():
        [(rules[table],)] = sql.fetch_all(
            "SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE conname = %s", [name]
        )
        sql.execute(f"ALTER TABLE {table} DROP CONSTRAINT {name}")
    yield
    sql.execute("TRUNCATE coupon CASCADE")
    for table, name in CONSTRAINTS.items():
        sql.execute(f"ALTER TABLE {table} ADD CONSTRAINT {name} {rules[table]}")


def unreadable(coupon: Coupon, starts: str = "0001-01-01 00:00 BC", ends: str = "infinity") -> None:
    sql.execute(
        "UPDATE coupon SET issue_starts_at = %s::timestamptz, issue_ends_at = %s::timestamptz,"
        " valid_until = %s::timestamptz WHERE id = %s",
        [starts, ends, ends, coupon.pk],
    )


@pytest.mark.parametrize("day", ["0001-01-01", "1969-12-31", "2200-01-01", "9999-12-31"])
@pytest.mark.parametrize("field", ["issue_starts_at", "issue_ends_at", "valid_until"])
def test_a_coupon_with_a_day_outside_the_range_is_refused(clerk: Staff, field: str, day: str) -> None:
    coupon = CouponFactory()
    sent = {**form_of(coupon, opened="", form_key=uuid4()), f"{field}_0": day}
    with nothing_changes():
        errors = errors_of(clerk.post("coupons_coupon_add", **sent))
    assert errors[field] == OUT_OF_RANGE


@pytest.mark.parametrize(
    ("starts", "ends"), [("0001-01-01", "2026-01-01"), ("2026-01-01", "9999-12-31"), ("-infinity", "infinity")]
)
def test_the_database_refuses_it_too(starts: str, ends: str) -> None:
    coupon = CouponFactory()
    with pytest.raises(IntegrityError, match=r"coupon_times_in_range"):
        unreadable(coupon, starts, ends)
    UserCouponFactory()
    with pytest.raises(IntegrityError, match="user_coupon_expiry_in_range"):
        sql.execute("UPDATE user_coupon SET expires_at = %s::timestamptz", [ends if ends != "2026-01-01" else starts])


@pytest.mark.parametrize("day", ["0001-01-01", "9999-12-31"])
def test_statistics_of_a_day_outside_the_range_are_refused(clerk: Staff, day: str) -> None:
    assert errors_of(clerk.get("stats_productstat_changelist", from_date=day, to_date=day))["from_date"] == OUT_OF_RANGE
    with pytest.raises(CommandError, match="from 1970-01-01 to 2199-12-31"):
        call_command("backfill_product_stats", f"--from={day}", f"--to={day}")


@pytest.mark.parametrize("times", [("0001-01-01 00:00 BC", "infinity"), ("-infinity", "9999-12-31 23:59:59+00")])
def test_a_time_beyond_pythons_range_breaks_no_page(
    clerk: Staff, without_constraints: None, times: tuple[str, str]
) -> None:
    good = CouponFactory(name="Good")
    bad = CouponFactory(name="Bad")
    UserCouponFactory(coupon=good)
    unreadable(bad, *times)
    sql.execute("UPDATE user_coupon SET expires_at = %s::timestamptz", [times[1]])
    listed = Shopper().get("/api/coupons")
    assert listed.status == 200
    assert [coupon["name"] for coupon in listed.json["results"]] == ["Bad", "Good"]
    assert listed.json["results"][1]["issueStartsAt"] == timezone.localtime(good.issue_starts_at).isoformat()
    pages = ["index", "coupons_coupon_changelist", "coupons_usercoupon_changelist"]
    for page in [*pages, "coupons_coupon_export", "coupons_usercoupon_export"]:
        for arguments in (["csv"], ["xlsx"]) if "export" in page else ([],):
            assert clerk.client.get(reverse(f"admin:{page}", args=arguments)).status_code == 200, page
    assert clerk.get("coupons_coupon_change", bad.pk).status_code == 200


def test_such_a_coupon_can_be_corrected_on_its_page(clerk: Staff, without_constraints: None) -> None:
    coupon = CouponFactory()
    unreadable(coupon)
    opened = clerk.get("coupons_coupon_change", coupon.pk).context["adminform"].form["opened"].value()
    now = timezone.now().replace(microsecond=0)
    times = {"issue_starts_at": now, "issue_ends_at": now + timedelta(days=1), "valid_until": now + timedelta(days=2)}
    answer = clerk.post("coupons_coupon_change", coupon.pk, **form_of(coupon, **times, opened=opened))
    assert answer.status_code == 302
    coupon.refresh_from_db()
    assert coupon.issue_starts_at == now


def test_the_migration_brings_stored_times_into_the_range(without_constraints: None) -> None:
    migration: Any = import_module("coupons.migrations.0004_bring_times_into_range")
    coupon, good = CouponFactory(), CouponFactory()
    held = UserCouponFactory(coupon=good)
    unreadable(coupon)
    sql.execute("UPDATE user_coupon SET expires_at = 'infinity'")
    sql.execute(migration.COUPONS)
    sql.execute(migration.HELD)
    last = datetime(2199, 12, 31, 0, 0, 1, tzinfo=UTC)
    coupon.refresh_from_db()
    assert (coupon.issue_starts_at, coupon.issue_ends_at, coupon.valid_until) == (
        datetime(1970, 1, 2, tzinfo=UTC),
        last,
        last,
    )
    assert UserCoupon.objects.get(pk=held.pk).expires_at == last
    assert Coupon.objects.get(pk=good.pk).valid_until == good.valid_until


@pytest.mark.parametrize(
    ("starts", "ends"), [("0001-01-01 00:00", "0001-01-02 00:00"), ("9999-12-30 00:00", "9999-12-31 00:00")]
)
def test_a_window_outside_the_range_keeps_its_order(without_constraints: None, starts: str, ends: str) -> None:
    migration: Any = import_module("coupons.migrations.0004_bring_times_into_range")
    coupon = CouponFactory()
    unreadable(coupon, starts, ends)
    sql.execute(migration.COUPONS)
    coupon.refresh_from_db()
    assert coupon.issue_starts_at < coupon.issue_ends_at <= coupon.valid_until


@pytest.mark.parametrize(
    ("until", "question"),
    [
        (timedelta(days=1), "The issue of this coupon is over already: nobody can get it."),
        (timedelta(days=-1), "The times of this coupon are over already: nobody can get it or use it."),
    ],
)
def test_a_window_in_the_past_requires_a_confirmation(clerk: Staff, until: timedelta, question: str) -> None:
    now = timezone.now().replace(microsecond=0)
    coupon = CouponFactory()
    sent = form_of(
        coupon,
        issue_starts_at=now - timedelta(days=3),
        issue_ends_at=now - timedelta(days=2),
        valid_until=now + until,
        form_key=uuid4(),
    )
    asked = clerk.post("coupons_coupon_add", **sent)
    assert errors_of(asked)["__all__"] == [question, "Save again to confirm."]
    assert Coupon.objects.count() == 1
    confirmed = asked.context["adminform"].form["confirmed"].value()
    assert clerk.post("coupons_coupon_add", **sent, confirmed=confirmed).status_code == 302
    assert Coupon.objects.count() == 2


def test_an_ended_coupon_is_renamed_without_a_confirmation(clerk: Staff) -> None:
    now = timezone.now()
    coupon = CouponFactory(issue_starts_at=now - timedelta(days=3), issue_ends_at=now - timedelta(days=2))
    assert clerk.press("coupons_coupon_change", coupon.pk, name="Other").status_code == 302
    coupon.refresh_from_db()
    assert coupon.name == "Other"
