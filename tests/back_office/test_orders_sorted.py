"""The list of orders sorted by amount and by day, each with an index in both directions."""

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
    """The number of the column in the URL; the column of checkboxes is missing without actions."""
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


@pytest.fixture
def many_orders() -> None:
    """Enough orders for realistic plans: a hundred days, and amounts that many orders share."""
    buyer = UserFactory()
    sql.execute(
        """
        INSERT INTO "order" (user_id, status, total_amount, discount_amount, paid_amount,
                             ordered_date, created_at, completed_at)
        SELECT %s, 'COMPLETED', won, 0, won, date '2026-01-01' + number / 100, now(), now()
        FROM (SELECT number, (number * 7919 %% 300 + 1) * 1000 AS won FROM generate_series(0, 9999) AS number) AS made
        """,
        [buyer.pk],
    )
    sql.execute("ANALYZE")


@pytest.mark.usefixtures("many_orders")
@pytest.mark.parametrize("query", [{}, {"status__exact": "COMPLETED"}], ids=["all", "completed"])
@pytest.mark.parametrize(("name", "index"), [("paid", "order_paid"), ("ordered_at", "order_day")])
@pytest.mark.parametrize("way", ["", "-"], ids=["rising", "falling"])
def test_an_index_provides_the_order(clerk: Staff, name: str, index: str, way: str, query: dict[str, Any]) -> None:
    with statements() as ran:
        clerk.get(LIST, o=f"{way}{column(name)}", **query)
    [listed] = [each for each in ran if 'FROM "order"' in each and "ORDER BY" in each and "LIMIT 50" in each]
    plan = plan_of(listed.replace("%", "%%"), [])
    assert f"using {index}" in plan, plan
    # Only the orders of one day may be sorted, not the table.
    sorts = [line for line in plan.splitlines() if " Sort " in line and "Key:" not in line]
    assert all("Incremental Sort" in line for line in sorts), plan


@pytest.mark.usefixtures("many_orders")
def test_amounts_are_found_by_the_same_index(clerk: Staff) -> None:
    with statements() as ran:
        assert len(clerk.get(LIST, paid_amount_from="300000").context["cl"].result_list) == 33
    [listed] = [each for each in ran if 'FROM "order"' in each and "ORDER BY" in each]
    assert "order_paid" in (plan := plan_of(listed.replace("%", "%%"), [])), plan


def test_other_columns_are_not_sortable(clerk: Staff) -> None:
    busy_shop()
    for name in ("customer", "state", "bought", "total", "discount", "coupon"):
        assert set(clerk.get(LIST, o=str(column(name))).context["cl"].queryset.query.order_by) == {"-pk"}, name
