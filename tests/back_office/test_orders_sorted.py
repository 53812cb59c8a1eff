"""The list of orders sorted by amount and by day, each way with an index that carries it."""

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from commerce.core import sql
from orders.admin.pages import OrderAdmin
from orders.models import Order
from tests.back_office.staff import Staff
from tests.factories import ProductFactory, UserFactory, order_of
from tests.operations.busy_shop import busy_shop
from tests.plans import plan_of
from tests.shop_state import statements

pytestmark = pytest.mark.django_db(transaction=True)

LIST = "orders_order_changelist"


@pytest.fixture
def clerk() -> Staff:
    return Staff("orders.view_order")


def column(name: str) -> int:
    """As the address names it; somebody without an action has no column of boxes."""
    return OrderAdmin.list_display.index(name)


def test_by_amount_and_by_day_both_ways(clerk: Staff) -> None:
    mina, pen = UserFactory(balance=1_000_000), ProductFactory(price=1_000, stock=100)
    two, five, also_two = (order_of(mina, {pen: units}) for units in (2, 5, 2))
    Order.objects.filter(pk=five.pk).update(ordered_date=timezone.localdate() - timedelta(days=3))

    def sorted_by(name: str, *, falling: bool = False) -> list[Order]:
        way = "-" if falling else ""
        return list(clerk.get(LIST, o=f"{way}{column(name)}").context["cl"].result_list)

    assert sorted_by("paid") == [two, also_two, five]
    assert sorted_by("paid", falling=True) == [five, also_two, two]
    assert sorted_by("ordered_at")[0] == five
    assert sorted_by("ordered_at", falling=True) == [also_two, two, five]
    assert sorted_by("number") == [two, five, also_two]


@pytest.mark.parametrize("query", [{}, {"status__exact": "COMPLETED"}], ids=["all", "completed"])
@pytest.mark.parametrize(("name", "index"), [("paid", "order_paid"), ("ordered_at", "order_day")])
@pytest.mark.parametrize("way", ["", "-"], ids=["rising", "falling"])
def test_an_index_carries_the_order(clerk: Staff, name: str, index: str, way: str, query: dict[str, Any]) -> None:
    busy_shop()
    with statements() as ran:
        clerk.get(LIST, o=f"{way}{column(name)}", **query)
    [listed] = [each for each in ran if 'FROM "order"' in each and "ORDER BY" in each and "LIMIT 50" in each]
    sql.execute("ANALYZE")
    plan = plan_of(listed.replace("%", "%%"), [])
    assert f"using {index}" in plan, plan
    # A day is sorted by number at most, never the table.
    sorts = [line.strip() for line in plan.splitlines() if "Sort" in line and "Sort Key" not in line]
    assert all(line.startswith(("Incremental Sort", "->  Incremental Sort")) for line in sorts), plan


def test_amounts_are_found_by_the_same_index(clerk: Staff) -> None:
    busy_shop()
    plan = plan_of('SELECT id FROM "order" WHERE paid_amount BETWEEN 5 AND 6 ORDER BY paid_amount, id LIMIT 50', [])
    assert "using order_paid" in plan, plan


def test_nothing_else_is_sorted_by(clerk: Staff) -> None:
    busy_shop()
    for name in ("customer", "state", "bought", "total", "discount", "coupon"):
        assert clerk.get(LIST, o=str(column(name))).context["cl"].queryset.query.order_by == ("-pk",), name
