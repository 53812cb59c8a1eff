"""The section "Needs attention" of the dashboard, and the links of its bars."""

import json
from datetime import timedelta

import pytest
from django.utils import timezone

from commerce.core import sql
from commerce.invariants.models import InvariantCheck
from tests.back_office.staff import Staff
from tests.factories import CouponFactory, UserFactory, issued
from tests.operations.busy_shop import busy_shop

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def admin_user() -> Staff:
    return Staff(superuser=True)


def needs(staff: Staff) -> list[str]:
    found = staff.get("index").context["attention"]
    for need in found:
        assert staff.client.get(need.address).status_code == 200, need
    return [str(need.sentence) for need in found]


def checked(**values: object) -> None:
    InvariantCheck.objects.create(
        **{
            "checked_at": timezone.now(),
            "duration_ms": 1,
            "holds": True,
            "asked_count": 1,
            "is_deep": False,
            "is_quiet": False,
            **values,
        }
    )


def test_without_findings_the_section_reports_it(admin_user: Staff) -> None:
    busy_shop()
    checked()
    assert needs(admin_user) == []
    assert "Nothing needs attention now." in admin_user.get("index").content.decode()


def test_problems_are_listed_most_urgent_first(admin_user: Staff) -> None:
    busy_shop()
    checked(checked_at=timezone.now() - timedelta(hours=3))
    sql.execute("UPDATE product SET stock = 0 WHERE id = (SELECT min(id) FROM product)")
    issued(UserFactory(), coupon := CouponFactory(name="Spring", total_quantity=1))
    sql.execute(
        "UPDATE outbox_message SET sent_at = NULL, parked_at = now() WHERE id = (SELECT min(id) FROM outbox_message)"
    )
    sql.execute(
        "UPDATE outbox_message SET sent_at = NULL, created_at = now() - interval '9 minutes'"
        " WHERE id = (SELECT max(id) FROM outbox_message WHERE destination = 'kafka')"
    )
    first, second, *rest = needs(admin_user)
    assert {first.split(" to ")[0], second.split(" to ")[0]} == {"1 message", "Deliveries"}
    assert rest == [
        "The books were last checked 3\xa0hours ago.",
        "1 product is out of stock.",
        f"The coupon “{coupon.name}” sold out today.",
    ]


def test_violated_invariants_are_urgent(admin_user: Staff) -> None:
    checked(holds=False, violations=[{"invariant": "x", "count": 1, "examples": []}])
    assert admin_user.get("index").context["attention"][0].is_urgent


def test_short_waits_and_old_sellouts_are_not_listed(admin_user: Staff) -> None:
    busy_shop()
    checked()
    sql.execute(
        "UPDATE outbox_message SET sent_at = NULL, created_at = now() WHERE id = (SELECT max(id) FROM outbox_message)"
    )
    issued(UserFactory(), CouponFactory(total_quantity=1))
    sql.execute("UPDATE user_coupon SET issued_at = now() - interval '2 days'")
    assert needs(admin_user) == []


def test_problems_follow_the_users_permissions() -> None:
    busy_shop()
    sql.execute("UPDATE outbox_message SET sent_at = NULL, parked_at = now()")
    sql.execute("UPDATE product SET stock = 0")
    assert needs(Staff("orders.view_order")) == []
    assert needs(Staff("products.view_product")) == ["4 products are out of stock."]


def test_each_bar_leads_to_its_orders(admin_user: Staff) -> None:
    shop = busy_shop()
    tiles = admin_user.get("index").context["tiles"]
    [bars] = json.loads(tiles["sales"]["chart"])["datasets"]
    assert len(bars["links"]) == len(bars["data"]) == 30
    today = admin_user.client.get(bars["links"][-1]).context["cl"].result_list
    assert {order.pk for order in today} == {shop.with_coupon.pk, shop.refunded.pk, shop.last.pk}
    [bars] = json.loads(tiles["sold"]["chart"])["datasets"]
    assert len(bars["links"]) == len(bars["data"])
    for link in bars["links"]:
        assert admin_user.client.get(link).context["cl"].result_list
    page = admin_user.get("index").content.decode()
    for row in tiles["sales"]["chart_rows"]:
        assert row["address"].replace("&", "&amp;") in page
