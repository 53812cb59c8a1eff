"""The page of a customer: figures, notes and the timeline."""

from datetime import timedelta

import pytest
from django.utils import timezone

from balances.models import User
from balances.services import adjust_balance, charge_balance
from commerce.audit import record as audit
from commerce.core import sql
from commerce.idempotency.commit import Idempotency
from commerce.staff_pages import timeline
from commerce.staff_pages.timeline import TimelineEntry, TimelineSource
from tests.back_office.staff import Staff
from tests.back_office.test_notes import write
from tests.factories import UserFactory
from tests.operations.busy_shop import busy_shop
from tests.plans import plan_of
from tests.shop_state import statements

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def admin_user() -> Staff:
    return Staff(superuser=True)


def titles(staff: Staff, customer: User, **query: str) -> list[str]:
    page = staff.get("balances_user_change", customer.pk, **query)
    return [moment.title for moment in page.context["moments"]]


def figures(staff: Staff, customer: User) -> dict[str, str]:
    totals = staff.get("balances_user_change", customer.pk).context["totals"]
    return {str(total.title): total.figure for total in totals}


def test_the_timeline_has_all_events_newest_first(admin_user: Staff) -> None:
    shop = busy_shop()
    by = audit.Staff(admin_user.user.pk, "Late delivery")
    adjust_balance(user_id=shop.joon.pk, amount=500, by=by, idempotency=Idempotency.none())
    write(admin_user, shop.joon.pk, "Was called.")
    note, *adjusted, refund, order, coupon, charge = titles(admin_user, shop.joon)
    clerk = admin_user.user.username
    assert note == f"Note by {clerk}"
    assert sorted(adjusted) == ["Adjustment +₩500", f"Balance credited by {clerk}"]
    assert refund == "Refund +₩17,000"
    assert order == f"Order #{shop.cancelled.pk}"
    assert coupon == f"Coupon issued: {shop.held.coupon.name}"
    assert charge == "Charge +₩50,000"


def test_the_figures_are_those_of_the_customer(admin_user: Staff) -> None:
    shop = busy_shop()
    assert figures(admin_user, shop.joon) == {
        "Orders that stand": "0",
        "Paid for them": "₩0",
        "Cancelled": "1",
        "Refunded": f"₩{shop.cancelled.paid_amount:,}",
        "Coupons issued": "1",
        "Coupons used": "0",
    }
    paid = shop.with_coupon.paid_amount + shop.last.paid_amount
    assert figures(admin_user, shop.mina)["Paid for them"] == f"₩{paid:,}"
    for total in admin_user.get("balances_user_change", shop.mina.pk).context["totals"]:
        assert not total.address or admin_user.client.get(total.address).status_code == 200


def test_the_timeline_follows_the_users_permissions() -> None:
    shop = busy_shop()
    assert titles(Staff("balances.view_user"), shop.joon) == []
    assert titles(Staff("balances.view_user", "orders.view_order"), shop.joon) == [f"Order #{shop.cancelled.pk}"]
    assert figures(Staff("balances.view_user"), shop.joon) == {}


def test_older_entries_are_on_further_pages_without_gaps(admin_user: Staff) -> None:
    customer: User = UserFactory()
    for amount in range(1, 71):
        charge_balance(user_id=customer.pk, amount=amount, idempotency=Idempotency.none())
    entry_titles: list[str] = []
    address = "?"
    while address:
        page = admin_user.client.get(f"/admin/balances/user/{customer.pk}/change/{address.partition('#')[0]}")
        entry_titles += [moment.title for moment in page.context["moments"]]
        address = page.context["older"]
    assert entry_titles == [f"Charge +₩{amount}" for amount in range(70, 0, -1)]


@pytest.mark.parametrize("before", ["", "yesterday", "2026-02-31T00:00:00+00:00", "9999-12-31T23:59:59+00:00"])
def test_an_invalid_time_parameter_is_ignored(admin_user: Staff, before: str) -> None:
    shop = busy_shop()
    assert titles(admin_user, shop.mina, before=before) == titles(admin_user, shop.mina)


def test_a_further_kind_of_entry_is_one_function(admin_user: Staff, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timeline, "_sources", dict(timeline._sources))
    now = timezone.now() + timedelta(minutes=1)
    timeline.add_timeline_source(
        "calls", TimelineSource("", lambda *_asked: [TimelineEntry(now, "call", "Called the shop")])
    )
    assert titles(admin_user, UserFactory())[0] == "Called the shop"


def test_the_page_takes_a_constant_number_of_queries(admin_user: Staff) -> None:
    few, many = UserFactory(), busy_shop().mina
    write(admin_user, many.pk, "Comes often.")
    for customer, most in ((few, 20), (many, 20)):
        with statements() as ran:
            assert admin_user.get("balances_user_change", customer.pk).status_code == 200
        assert len(ran) <= most, ran


def test_each_query_uses_an_index() -> None:
    shop = busy_shop()
    admin_user = Staff(superuser=True)
    with statements() as ran:
        admin_user.get("balances_user_change", shop.mina.pk)
    asked = [
        statement
        for statement in ran
        if any(f'FROM "{table}"' in statement for table in ("order", "user_coupon", "user_balance_tx", "note"))
    ]
    assert len(asked) >= 5
    sql.execute("ANALYZE")
    for statement in asked:
        assert "Seq Scan on order" not in (plan := plan_of(statement.replace("%", "%%"), [])), plan
        for table in ('"order"', "user_coupon", "user_balance_tx", "note"):
            assert f"Seq Scan on {table}" not in plan, plan
