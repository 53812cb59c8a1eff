"""The statistics page: ranges of days as chart, table and file, and the comparison with the orders."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, timedelta
from typing import Any

import pytest
from django.utils import timezone

from balances.models import User
from commerce.audit.models import StaffAction
from commerce.core import sql
from products.models import Product
from stats import operations
from stats.errors import TooMuchToRecount
from stats.models import ProductStat
from stats.services import backfill_product_stats, compare_days
from stats.tests.conftest import cancel, count_order_events, move_order_to_day, sent_events
from tests.back_office.staff import Page, Staff
from tests.factories import ProductFactory, UserFactory, order_of
from tests.shop_state import nothing_changes, statements

pytestmark = pytest.mark.django_db(transaction=True)

LIST = "stats_productstat_changelist"
FIRST, SECOND, THIRD = date(2026, 2, 27), date(2026, 2, 28), date(2026, 3, 1)


@pytest.fixture
def analyst() -> Staff:
    return Staff("stats.view_productstat", "stats.export_productstat", "products.view_product")


@pytest.fixture
def pen() -> Product:
    return ProductFactory(name="Pen", stock=1_000)


@pytest.fixture
def ink() -> Product:
    return ProductFactory(name="Ink", stock=1_000)


def sold(product: Product, day: date, units: int) -> None:
    ProductStat.objects.create(product=product, date=day, quantity_sold=units)


@pytest.fixture
def three_days(pen: Product, ink: Product) -> None:
    """Units: pens 2 and 5, ink 4. The second day has more than the first, and one day outside the range has many."""
    sold(pen, FIRST, 2)
    sold(pen, SECOND, 5)
    sold(ink, SECOND, 4)
    sold(ink, THIRD + timedelta(days=1), 1_000)


def shown(staff: Staff, first: date, last: date, **more: Any) -> Any:
    page = staff.get(LIST, from_date=first, to_date=last, **more)
    assert page.status_code == 200
    return page.context


def bars(context: Any) -> dict[str, int]:
    """The units of the chart by day."""
    chart = json.loads(context["chart"])
    [units] = chart["datasets"]
    return dict(zip(chart["labels"], units["data"], strict=True))


@pytest.mark.usefixtures("three_days")
class TestARange:
    def test_has_a_bar_for_every_day_and_the_products_by_units(
        self, analyst: Staff, pen: Product, ink: Product
    ) -> None:
        context = shown(analyst, FIRST, THIRD)
        assert bars(context) == {"2026-02-27": 2, "2026-02-28": 9, "2026-03-01": 0}
        assert context["products"] == [(pen.pk, "Pen", 7, 63.6), (ink.pk, "Ink", 4, 36.4)]
        assert (context["days"], context["total"], context["per_day"]) == (3, 11, 3.7)
        assert (context["best_day"], context["best_units"]) == (SECOND, 9)

    def test_a_bar_leads_to_its_orders(self, analyst: Staff, ink: Product) -> None:
        seller = Staff("stats.view_productstat", "orders.view_order", "products.view_product")
        context = shown(seller, FIRST, THIRD)
        [units] = json.loads(context["chart"])["datasets"]
        orders = "/admin/orders/order/?status__exact=COMPLETED&ordered_date_from={0}&ordered_date_to={0}"
        assert units["links"] == [orders.format(day) for day in (FIRST, SECOND, THIRD)]
        # The table: days with units, newest first.
        assert [(row["name"], row["figure"], row["address"]) for row in context["chart_rows"]] == [
            ("2026-02-28", "9", orders.format(SECOND)),
            ("2026-02-27", "2", orders.format(FIRST)),
        ]
        assert seller.client.get(units["links"][0]).status_code == 200
        of_ink = shown(seller, SECOND, SECOND, product=ink.pk)["chart_rows"]
        assert [row["address"] for row in of_ink] == [f"{orders.format(SECOND)}&product={ink.pk}"]
        # There are no links to lists without the permission.
        blind = shown(analyst, FIRST, THIRD)
        assert json.loads(blind["chart"])["datasets"][0]["links"] == blind["chart_rows"] == []

    def test_the_orders_it_leads_to_are_those_of_its_units(self, pen: Product) -> None:
        mina, seller = UserFactory(balance=100_000), Staff(superuser=True)
        orders = [order_of(mina, {pen: 1}), order_of(mina, {pen: 2}), order_of(mina, {ProductFactory(price=1): 1})]
        for order in orders:
            move_order_to_day(order.pk, THIRD.isoformat())
        count_order_events(events=sent_events())
        [row] = shown(seller, THIRD, THIRD, product=pen.pk)["chart_rows"]
        found = seller.client.get(row["address"]).context["cl"].result_list
        assert [order.pk for order in found] == [orders[1].pk, orders[0].pk]

    def test_can_be_of_one_product(self, analyst: Staff, pen: Product, ink: Product) -> None:
        context = shown(analyst, FIRST, THIRD, product=ink.pk)
        assert bars(context) == {"2026-02-27": 0, "2026-02-28": 4, "2026-03-01": 0}
        assert context["products"] == [(ink.pk, "Ink", 4, 100.0)]

    def test_can_be_one_day(self, analyst: Staff) -> None:
        assert bars(shown(analyst, FIRST, FIRST)) == {"2026-02-27": 2}

    def test_without_sales_has_a_message(self, analyst: Staff) -> None:
        context = shown(analyst, date(2020, 1, 1), date(2020, 1, 2))
        assert (context["total"], context["best_day"], context["products"]) == (0, None, [])

    def test_of_cancelled_units_alone_is_drawn_below_zero(self, analyst: Staff, pen: Product) -> None:
        ProductStat.objects.filter(product=pen, date=FIRST).update(quantity_sold=-3)
        context = shown(analyst, FIRST, FIRST)
        assert (context["total"], context["best_day"], context["products"]) == (-3, None, [])
        assert bars(context) == {"2026-02-27": -3}

    def test_takes_a_constant_number_of_queries(self, analyst: Staff) -> None:
        with statements() as short:
            shown(analyst, FIRST, FIRST)
        with statements() as year:
            shown(analyst, SECOND - timedelta(days=365), SECOND)
        assert len(year) == len(short) <= 8


@pytest.mark.parametrize(("asked", "days"), [({}, 30), ({"days": "7"}, 7), ({"days": "90"}, 90), ({"days": "8"}, 30)])
def test_the_last_days_are_one_click_away(analyst: Staff, asked: dict[str, str], days: int) -> None:
    page = analyst.get(LIST, **asked)
    today = timezone.localdate()
    assert (page.context["form"].first, page.context["form"].last) == (today - timedelta(days=days - 1), today)
    assert "?days=7" in page.content.decode()


@pytest.mark.parametrize(
    ("first", "last", "field", "why"),
    [
        ("2026-03-01", "2026-02-28", "to_date", "The last day lies before the first."),
        ("2025-02-28", "2026-03-01", "to_date", "At most 366 days."),
        ("2026-02-30", "2026-03-01", "from_date", "Enter a valid date."),
        ("", "2026-03-01", "from_date", "This field is required."),
        ("2026-03-01", "x\0", "to_date", "Enter a valid date."),
    ],
)
def test_an_invalid_range_is_reported_at_its_field(analyst: Staff, first: str, last: str, field: str, why: str) -> None:
    page = analyst.get(LIST, from_date=first, to_date=last, compare=1)
    assert page.status_code == 200
    assert dict(page.context["form"].errors) == {field: [why]}
    assert "chart" not in page.context
    assert (
        analyst.client.get("/admin/stats/productstat/export.csv", {"from_date": first, "to_date": last}).status_code
        == 400
    )


def test_an_unknown_product_is_reported_at_its_field(analyst: Staff) -> None:
    page = analyst.get(LIST, from_date=FIRST, to_date=THIRD, product=777)
    assert (page.status_code, list(page.context["form"].errors)) == (200, ["product"])


@pytest.mark.parametrize("product", ["x", "9" * 30, "\0", "-1", "1 "])
def test_a_forged_product_is_refused(analyst: Staff, product: str) -> None:
    assert analyst.get(LIST, from_date=FIRST, to_date=THIRD, product=product).status_code == 400


def test_the_longest_range_has_a_leap_day(analyst: Staff) -> None:
    assert shown(analyst, date(2024, 1, 1), date(2024, 12, 31))["days"] == 366


def test_products_are_offered_by_name(analyst: Staff, pen: Product, ink: Product) -> None:
    asked = {"app_label": "stats", "model_name": "productstat", "field_name": "product", "term": "Pe"}
    answer = analyst.client.get("/admin/autocomplete/", asked)
    assert [found["id"] for found in answer.json()["results"]] == [str(pen.pk)]


def test_products_are_hidden_without_the_permission(pen: Product) -> None:
    onlooker = Staff("stats.view_productstat")
    sold(pen, FIRST, 2)
    page = onlooker.get(LIST, from_date=FIRST, to_date=FIRST)
    assert list(page.context["form"].fields) == ["from_date", "to_date"]
    assert f"/admin/products/product/{pen.pk}/" not in page.content.decode()


@contextmanager
def least_patience() -> Iterator[None]:
    """A statement timeout of one second instead of five."""
    sql.execute("SET statement_timeout = '1s'")
    yield
    sql.execute("RESET statement_timeout")


def lines_of(answer: Page) -> list[list[str]]:
    assert answer.status_code == 200
    return [line.split(",") for line in answer.content.decode("utf-8-sig").splitlines()]


@pytest.mark.usefixtures("three_days")
class TestAFile:
    WHERE = "/admin/stats/productstat/export.csv"
    ASKED = {"from_date": "2026-02-27", "to_date": "2026-03-01"}

    def test_has_the_rows_of_the_range(self, analyst: Staff, pen: Product, ink: Product) -> None:
        heading, *rows = lines_of(analyst.client.get(self.WHERE, self.ASKED))
        assert heading == ["day", "product number", "product", "units sold"]
        assert sorted(rows) == sorted(
            [
                ["2026-02-27", str(pen.pk), "Pen", "2"],
                ["2026-02-28", str(pen.pk), "Pen", "5"],
                ["2026-02-28", str(ink.pk), "Ink", "4"],
            ]
        )
        action = StaffAction.objects.get()
        assert (action.action, action.after["rows"]) == ("Exported", 3)

    def test_has_those_of_the_product_that_was_chosen(self, analyst: Staff, ink: Product) -> None:
        page = analyst.get(LIST, **self.ASKED, product=ink.pk)
        [link] = [part.split('"')[0] for part in page.content.decode().split('href="') if part.startswith("export.csv")]
        rows = lines_of(analyst.client.get(f"/admin/stats/productstat/{link.replace('&amp;', '&')}"))[1:]
        assert rows == [["2026-02-28", str(ink.pk), "Ink", "4"]]

    def test_requires_the_export_permission(self) -> None:
        onlooker = Staff("stats.view_productstat")
        assert onlooker.client.get(self.WHERE, self.ASKED).status_code == 403
        assert "export.csv" not in onlooker.get(LIST, **self.ASKED).content.decode()
        assert StaffAction.objects.count() == 0


def test_the_page_requires_the_view_permission() -> None:
    stranger = Staff("stats.export_productstat", "stats.rebuild_productstat")
    assert stranger.get(LIST).status_code == 403
    assert stranger.get(LIST, compare=1).status_code == 403


class TestBesideTheOrders:
    """Counted units compared with the orders."""

    @pytest.fixture
    def user(self) -> User:
        return UserFactory(balance=1_000_000)

    @pytest.fixture(autouse=True)
    def _counted(self, user: User, pen: Product, ink: Product) -> None:
        """Three days of counted orders, one of them cancelled."""
        orders = [order_of(user, {pen: 2, ink: 1}), order_of(user, {pen: 3}), order_of(user, {ink: 4})]
        for order, day in zip(orders, (FIRST, SECOND, SECOND), strict=True):
            move_order_to_day(order.pk, day.isoformat())
        cancel(orders[2])
        count_order_events(events=sent_events())

    def test_matching_days_are_reported(self, analyst: Staff) -> None:
        with nothing_changes():
            page = analyst.get(LIST, from_date=FIRST, to_date=THIRD, compare=1)
        assert (page.context["differences"], page.context["events_on_their_way"]) == ([], 0)
        assert "All 3 days agree with their orders." in page.content.decode()

    def test_differences_are_listed_by_day_and_product(self, analyst: Staff, pen: Product, ink: Product) -> None:
        ProductStat.objects.filter(product=pen, date=SECOND).update(quantity_sold=30)
        ProductStat.objects.filter(product=ink, date=FIRST).delete()
        sold(ink, THIRD, 7)
        with nothing_changes():
            page = analyst.get(LIST, from_date=FIRST, to_date=THIRD, compare=1)
        assert page.context["differences"] == [
            (operations.Difference(ink.pk, FIRST, 0, 1), "Ink"),
            (operations.Difference(pen.pk, SECOND, 30, 3), "Pen"),
            (operations.Difference(ink.pk, THIRD, 7, 0), "Ink"),
        ]
        assert "3 of 3 days differ from their orders, in 3 rows." in page.content.decode()

    def test_of_one_product_only_its_rows_are_compared(self, analyst: Staff, pen: Product, ink: Product) -> None:
        ProductStat.objects.update(quantity_sold=9)
        context = shown(analyst, FIRST, FIRST, compare=1, product=ink.pk)
        assert [difference.product_id for difference, _name in context["differences"]] == [ink.pk]

    def test_events_in_flight_are_reported(self, analyst: Staff, user: User, pen: Product) -> None:
        late = order_of(user, {pen: 1})
        move_order_to_day(late.pk, FIRST.isoformat())
        page = analyst.get(LIST, from_date=FIRST, to_date=FIRST, compare=1)
        assert page.context["events_on_their_way"] == 1
        assert page.context["differences"] == [(operations.Difference(pen.pk, FIRST, 2, 3), "Pen")]
        assert "1 event of these days is not counted yet" in page.content.decode()

    def test_it_shows_what_the_backfill_would_change(self, pen: Product, ink: Product) -> None:
        """The page and the command agree."""
        ProductStat.objects.update(quantity_sold=30)
        sold(pen, THIRD, 5)
        sql.execute("DELETE FROM processed_event WHERE event_id LIKE 'order-completed:%%'")
        compared: dict[date, operations.DayComparison] = {}
        backfill_product_stats(from_date=FIRST, to_date=THIRD, dry_run=True, on_day=compared.__setitem__)
        assert compare_days(from_date=FIRST, to_date=THIRD) == compared
        assert [len(found.differences) for found in compared.values()] == [2, 1, 1]
        assert [found.events_recorded for found in compared.values()] == [1, 2, 0]

    def test_is_one_statement_for_all_days(self) -> None:
        """Plus one statement for the days whose orders are archived."""
        with statements() as ran:
            compare_days(from_date=THIRD - timedelta(days=30), to_date=THIRD)
        assert len(ran) == 2

    def test_a_too_long_range_is_not_compared(self, analyst: Staff) -> None:
        first = THIRD - timedelta(days=31)
        page = analyst.get(LIST, from_date=first, to_date=THIRD, compare=1)
        assert "recounted" not in page.context
        assert "At most 31 days can be compared with the orders at once." in page.content.decode()
        assert "recounted" in shown(analyst, first + timedelta(days=1), THIRD, compare=1)
        for days in (0, 32):
            with pytest.raises(ValueError, match="cannot be compared"):
                compare_days(from_date=THIRD - timedelta(days=days - 1), to_date=THIRD)

    def test_a_timeout_of_the_comparison_is_reported(self, analyst: Staff, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(operations, "COMPARE_DAYS", "SELECT pg_sleep(30)")
        with least_patience():
            with pytest.raises(TooMuchToRecount):
                compare_days(from_date=FIRST, to_date=FIRST)
            page = analyst.get(LIST, from_date=FIRST, to_date=FIRST, compare=1)
        assert "The recount did not end in time" in page.content.decode()
        assert bars(page.context) == {"2026-02-27": 3}
