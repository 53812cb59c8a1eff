"""Stock movements in the back-office: filters, search, export; read-only."""

from datetime import datetime

import pytest
from django.db import connection
from django.urls import reverse
from django.utils import timezone

from balances.models import User
from commerce.core import sql
from products.models import MovementReason, Product, StockMovement
from tests.back_office.staff import Staff
from tests.factories import ProductFactory, StaffFactory, UserFactory, order_of
from tests.shop_state import statements

pytestmark = pytest.mark.django_db(transaction=True)

LIST = "products_stockmovement_changelist"
RIGHTS = ("products.view_stockmovement", "products.view_product")


@pytest.fixture
def clerk() -> Staff:
    return Staff(*RIGHTS)


@pytest.fixture
def pen() -> Product:
    return ProductFactory(name="Pen", price=1_000, stock=10)


def quantities(clerk: Staff, **query: object) -> list[int]:
    page = clerk.get(LIST, **query)
    assert page.status_code == 200
    return [movement.quantity for movement in page.context["cl"].result_list]


def moved(product: Product, quantity: int, at: str) -> None:
    """An adjustment at this time in Seoul."""
    StockMovement.objects.create(
        product=product,
        reason=MovementReason.ADJUSTMENT,
        quantity=quantity,
        created_at=timezone.make_aware(datetime.fromisoformat(at)),
    )


def test_days_begin_and_end_at_midnight_in_the_shop(clerk: Staff, pen: Product) -> None:
    for quantity, at in enumerate(("2026-03-01 23:59:59", "2026-03-02 00:00", "2026-03-03 23:59:59", "2026-03-04"), 1):
        moved(pen, quantity, at)
    days = {"created_at_from": "2026-03-02", "created_at_to": "2026-03-03"}
    assert quantities(clerk, **days) == [3, 2]
    assert quantities(clerk, **days, product__id__exact=pen.pk) == [3, 2]
    assert quantities(clerk, created_at_to="2026-03-01") == [1]


def test_are_found_by_reason_product_and_order(clerk: Staff, pen: Product) -> None:
    lamp = ProductFactory(stock=5, price=1_000)
    buyer = UserFactory(balance=10_000)
    order_of(buyer, {lamp: 1})
    order = order_of(buyer, {pen: 2, lamp: 3})
    assert quantities(clerk, reason__exact="OPENING") == [5, 10]
    assert quantities(clerk, product__id__exact=lamp.pk) == [-3, -1, 5]
    assert sorted(quantities(clerk, q=str(order.pk))) == [-3, -2]
    assert sorted(quantities(clerk, q=f"#{order.pk}")) == [-3, -2]
    for unknown in ("999999999", "9" * 18, "9" * 30, "pen", "1 OR 1=1"):
        assert quantities(clerk, q=unknown) == []


def test_show_names_of_staff_without_extra_queries(clerk: Staff, pen: Product) -> None:
    def add(count: int) -> None:
        for _ in range(count):
            StockMovement.objects.create(
                product=ProductFactory(),
                reason=MovementReason.ADJUSTMENT,
                quantity=1,
                actor_id=StaffFactory(username=f"clerk-{StockMovement.objects.count()}").pk,
                created_at=timezone.now(),
            )

    add(2)
    with statements() as few:
        clerk.get(LIST)
    add(10)
    with statements() as more:
        page = clerk.get(LIST).content.decode()
    assert len(more) == len(few) <= 8
    assert User.objects.get(pk=StockMovement.objects.latest("id").actor_id or 0).username in page


def test_are_exported_with_the_permission(clerk: Staff, pen: Product) -> None:
    actor = StaffFactory(username="minji")
    moment = timezone.make_aware(datetime(2026, 3, 2, 9, 30, 15))  # noqa: DTZ001  # made aware in the shop's zone
    movement = StockMovement.objects.create(
        product=pen, reason="ADJUSTMENT", quantity=-2, actor_id=actor.pk, note="=1+1", created_at=moment
    )
    address = reverse("admin:products_stockmovement_export", args=["csv"])
    assert clerk.client.get(address).status_code == 403
    taking = Staff(*RIGHTS, "products.export_stockmovement")
    lines = taking.client.get(address, {"reason__exact": "ADJUSTMENT"}).content.decode("utf-8-sig").splitlines()
    assert lines == [
        "number,created at,product number,product,reason,quantity,order,staff member,note",
        f"{movement.pk},2026-03-02 09:30:15,{pen.pk},Pen,Adjustment,-2,,minji,'=1+1",
    ]


@pytest.mark.parametrize(
    "query",
    [
        {"product__id__exact": "abc"},
        {"product__id__exact": "9" * 30},
        {"reason__exact": "THEFT"},
        {"created_at_from": "abc"},
        {"created_at_to": "99999-01-01"},
        {"q": "주스"},
        {"q": "9" * 30},
    ],
)
def test_report_invalid_parameters(clerk: Staff, pen: Product, query: dict[str, str]) -> None:
    assert clerk.get(LIST, **query).status_code in (200, 302, 400)


def plan_of(clerk: Staff, **query: object) -> str:
    """The query plan of the list, on a table that is too large for a sequential scan."""
    with statements() as ran:
        assert clerk.get(LIST, **query).status_code == 200
    [rows] = [statement for statement in ran if "actor_name" in statement]
    with connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN {rows}")
        return "\n".join(row[0] for row in cursor.fetchall())


def test_are_found_by_their_indexes(clerk: Staff, pen: Product) -> None:
    """Rows: a year of sales of one product, then a week of other products."""
    sql.execute(
        """
        INSERT INTO stock_movement (product_id, reason, quantity, order_id, created_at)
        SELECT %s, 'SALE', -1, number, '2026-01-01'::timestamptz + number * interval '20 minutes'
        FROM generate_series(1, 25000) AS number
        """,
        [pen.pk],
    )
    sql.execute("ANALYZE stock_movement")
    days = {"created_at_from": "2026-02-01", "created_at_to": "2026-02-02"}
    assert "stock_movement_time" in plan_of(clerk, **days)
    assert "stock_movement_time" in plan_of(clerk, **days, product__id__exact=pen.pk)
    assert "stock_movement_no_sales" in plan_of(clerk, reason__exact="ADJUSTMENT")
    assert "stock_movement_each_once" in plan_of(clerk, q="17")
    assert "Sort" not in plan_of(clerk, product__id__exact=pen.pk)
