"""The figures of the dashboard, by the shop's days."""

import json
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.core.management import call_command
from django.utils import timezone

from balances.models import User
from commerce.idempotency.commit import Idempotency
from commerce.invariants.models import InvariantCheck
from coupons.models import Coupon
from orders.models import Order
from orders.services import cancel_order
from tests.back_office.staff import Page, Staff
from tests.factories import CouponFactory, ProductFactory, UserFactory, issued, order_of
from tests.properties.clock import INSTANT, Clock, stopped_at

pytestmark = pytest.mark.django_db(transaction=True)


def shop_time(month: int, day: int, hour: int = 0, minute: int = 0, second: int = 0) -> datetime:
    """A time in 2026 in the shop's time zone."""
    return datetime(2026, month, day, hour, minute, second, tzinfo=timezone.get_default_timezone())


NOW = shop_time(3, 11, 15)


@pytest.fixture
def clock() -> Iterator[Clock]:
    with stopped_at(NOW) as stopped:
        yield stopped


@pytest.fixture
def staff(clock: Clock) -> Staff:
    return Staff(superuser=True)


@pytest.fixture
def buyer(clock: Clock) -> User:
    return UserFactory(balance=900_000_000)


def tiles(staff: Staff) -> dict[str, Any]:
    return dict(staff.get("index").context["tiles"])


def listed(staff: Staff, address: str) -> set[int]:
    """The rows of the list that a tile links to."""
    page: Page = staff.client.get(address)
    assert page.status_code == 200, address
    return {row.pk for row in page.context["cl"].queryset}


class Sold:
    """Orders of one product each, with their price in thousands of won and their time."""

    def __init__(self, clock: Clock, buyer: User) -> None:
        self._clock, self._buyer = clock, buyer
        self.orders: dict[int, Order] = {}

    def sell(self, *sales: tuple[datetime, int]) -> None:
        now = self._clock.now
        for moment, thousands in sales:
            self._clock.now = moment
            self.orders[thousands] = order_of(self._buyer, {ProductFactory(price=thousands * 1_000): 1})
        self._clock.now = now

    def ids(self, *thousands: int) -> set[int]:
        return {self.orders[each].pk for each in thousands}


@pytest.fixture
def sold(clock: Clock, buyer: User) -> Sold:
    """Amounts whose sums identify the counted orders."""
    shop = Sold(clock, buyer)
    shop.sell(
        (shop_time(1, 10, 23, 59, 59), 16_384),  # the day before the 60 days
        (shop_time(1, 11), 8_192),
        (NOW - timedelta(days=30), 2_048),
        (NOW - timedelta(days=30) + INSTANT, 4_096),
        (shop_time(2, 10), 1_024),
        (shop_time(2, 25, 23, 59, 59), 512),
        (shop_time(2, 26), 256),
        (shop_time(3, 4, 14), 64),
        (shop_time(3, 4, 16), 128),
        (shop_time(3, 5), 32),
        (shop_time(3, 10, 9), 3),
        (NOW - timedelta(days=1), 16),
        (shop_time(3, 11) - INSTANT, 8),
        (shop_time(3, 11), 1),
        (shop_time(3, 11, 10), 5),
        (shop_time(3, 11, 14, 59, 59), 2),
    )
    for taken_back in (3, 5):
        cancel_order(order_id=shop.orders[taken_back].pk, owner_id=None, idempotency=Idempotency.none(), by=None)
    return shop


class TestSales:
    """Sales until now are compared with those until the same time of the day before."""

    def test_each_period_counts_its_orders_and_the_period_before(self, staff: Staff, sold: Sold) -> None:
        figures = [
            (card.period.now.orders, card.period.now.paid_won, card.period.before.orders, card.period.before.paid_won)
            for card in tiles(staff)["sales"]["periods"]
        ]
        assert figures == [
            (2, 3_000, 1, 16_000),
            (5, 59_000, 2, 320_000),
            (10, 2_043_000, 2, 10_240_000),
        ]

    def test_the_page_shows_the_change_in_words(self, staff: Staff, sold: Sold) -> None:
        page = " ".join(staff.get("index").content.decode().split())
        for amount, before in (("3,000", "16,000"), ("59,000", "320,000"), ("2,043,000", "10,240,000")):
            assert f"₩{amount}" in page
            assert f"(₩{before})" in page
        for words in ("81% less", "82% less", "80% less", "100% more", "150% more", "400% more"):
            assert page.count(f"</span> {words}</span>") == 1, words
        assert "Compared with yesterday by this time, without cancelled orders." in page

    def test_each_card_leads_to_its_orders(self, staff: Staff, sold: Sold) -> None:
        leads_to = [listed(staff, card.address) for card in tiles(staff)["sales"]["periods"]]
        week = sold.ids(1, 2, 8, 16, 32)
        month = week | sold.ids(64, 128, 256, 512, 1_024)
        assert leads_to == [sold.ids(1, 2), week, month]

    def test_the_chart_has_thirty_days_that_end_today(self, staff: Staff, sold: Sold) -> None:
        chart = json.loads(tiles(staff)["sales"]["chart"])
        by_day = dict(zip(chart["labels"], chart["datasets"][0]["data"], strict=True))
        assert (len(by_day), chart["labels"][0], chart["labels"][-1]) == (30, "02-10", "03-11")
        assert {day: won for day, won in by_day.items() if won} == {
            "02-10": 1_024_000,
            "02-25": 512_000,
            "02-26": 256_000,
            "03-04": 192_000,
            "03-05": 32_000,
            "03-10": 24_000,
            "03-11": 3_000,
        }

    def test_at_midnight_a_new_day_begins(self, staff: Staff, sold: Sold, clock: Clock) -> None:
        def today() -> tuple[int, int]:
            first = tiles(staff)["sales"]["periods"][0].period
            return first.now.paid_won, first.before.paid_won

        midnight = clock.next_midnight()
        clock.now = midnight - INSTANT
        assert today() == (3_000, 24_000)
        clock.now = midnight
        assert today() == (0, 1_000)

    def test_a_cancelled_order_disappears_at_once(self, staff: Staff, sold: Sold) -> None:
        cancel_order(order_id=sold.orders[2].pk, owner_id=None, idempotency=Idempotency.none(), by=None)
        assert tiles(staff)["sales"]["periods"][0].period.now.paid_won == 1_000

    def test_orders_are_found_from_the_top(self, staff: Staff, sold: Sold) -> None:
        page = staff.get("index").content.decode()
        assert '<form action="/admin/orders/order/" method="get" role="search"' in page
        wanted = sold.orders[64]
        found = staff.client.get(f"/admin/orders/order/?q={wanted.pk}", follow=True)
        assert found.context["original"] == wanted
        assert len(listed(staff, f"/admin/orders/order/?q={wanted.user.username}")) == len(sold.orders)


class TestSold:
    def test_units_are_the_counted_ones_less_returns(self, staff: Staff, buyer: User, clock: Clock) -> None:
        pen, ink, nib = ProductFactory(name="Pen"), ProductFactory(name="Ink"), ProductFactory(name="Nib")
        for moment, quantities in (
            (shop_time(2, 9, 23, 59, 59), {nib: 9}),
            (shop_time(2, 10), {ink: 2}),
            (shop_time(3, 8), {pen: 3, ink: 2}),
            (shop_time(3, 11, 1), {pen: 2}),
        ):
            clock.now = moment
            order_of(buyer, quantities)
        taken_back = order_of(buyer, {pen: 4})
        cancel_order(order_id=taken_back.pk, owner_id=None, idempotency=Idempotency.none(), by=None)
        clock.now = NOW
        call_command("backfill_product_stats", "--from", "2026-02-01", "--to", "2026-03-11")
        tile = tiles(staff)["sold"]
        chart = json.loads(tile["chart"])
        assert dict(zip(chart["labels"], chart["datasets"][0]["data"], strict=True)) == {"Pen": 5, "Ink": 4}
        assert [(each.name, each.quantity_sold) for each in tile["popular"]] == [("Pen", 5), ("Ink", 2)]

    def test_the_ten_that_sold_the_most_are_shown(self, staff: Staff, buyer: User) -> None:
        for number in range(1, 13):
            order_of(buyer, {ProductFactory(name=f"P{number}"): 1 + number // 3})
        call_command("backfill_product_stats", "--from", "2026-03-11", "--to", "2026-03-11")
        chart = json.loads(tiles(staff)["sold"]["chart"])
        assert chart["labels"] == ["P12", "P9", "P10", "P11", "P6", "P7", "P8", "P3", "P4", "P5"]
        assert chart["datasets"][0]["data"] == [5, 4, 4, 4, 3, 3, 3, 2, 2, 2]


class TestStock:
    def test_products_out_of_stock_and_low_are_counted(self, staff: Staff) -> None:
        out = [ProductFactory(stock=0) for _ in range(2)]
        low = [ProductFactory(stock=units) for units in (10, 1, 7)]
        ProductFactory(stock=11)
        ProductFactory(stock=0, is_active=False)
        tile = tiles(staff)["stock"]
        assert (tile["found"].out, tile["found"].low) == (2, 3)
        assert [product.pk for product in tile["found"].scarcest] == [
            *(product.pk for product in out),
            low[1].pk,
            low[2].pk,
            low[0].pk,
        ]
        assert listed(staff, tile["out_address"]) == {product.pk for product in out}
        assert listed(staff, tile["low_address"]) == {product.pk for product in low}


class TestCoupons:
    def test_open_coupons_show_their_progress(self, staff: Staff, buyer: User) -> None:
        coupon = CouponFactory(name="Spring", total_quantity=10, discount_value=500)
        others = [UserFactory(balance=5_000) for _ in range(3)]
        held = [issued(user, coupon) for user in (buyer, *others)]
        order_of(buyer, {ProductFactory(price=2_000): 1}, coupon=held[0])
        [bar] = tiles(staff)["coupons"]["bars"]
        assert (bar.name, bar.issued, bar.used, bar.remaining, bar.total) == ("Spring", 4, 1, 6, 10)
        assert [part["value"] for part in bar.parts] == [10, 30]
        assert "4 of 10 issued · 1 used · 6 left" in staff.get("index").content.decode()

    def test_only_open_coupons_are_listed_by_their_end(self, staff: Staff) -> None:
        def coupon(name: str, *, starts: timedelta, ends: timedelta) -> Coupon:
            return CouponFactory(name=name, issue_starts_at=NOW + starts, issue_ends_at=NOW + ends,
                                 valid_until=NOW + timedelta(days=9))  # fmt: skip

        hour = timedelta(hours=1)
        coupon("later", starts=-hour, ends=2 * hour)
        coupon("soon", starts=-hour, ends=hour)
        coupon("over", starts=-hour, ends=timedelta())
        coupon("coming", starts=INSTANT, ends=hour)
        tile = tiles(staff)["coupons"]
        assert [bar.name for bar in tile["bars"]] == ["soon", "later"]
        assert not tile["has_more"]
        for number in range(4):
            coupon(f"more{number}", starts=-hour, ends=3 * hour)
        tile = tiles(staff)["coupons"]
        assert [bar.name for bar in tile["bars"]] == ["soon", "later", "more0", "more1", "more2"]
        assert tile["has_more"]
        assert len(listed(staff, tile["address"])) == 6


class TestBooks:
    def verdict(self, **values: Any) -> InvariantCheck:
        return InvariantCheck.objects.create(
            **{"checked_at": timezone.now(), "duration_ms": 1, "holds": True, "asked_count": 26, "is_deep": False,
               "is_quiet": False, **values}
        )  # fmt: skip

    def test_without_a_check_the_page_reports_it(self, staff: Staff) -> None:
        assert "Never checked." in staff.get("index").content.decode()

    def test_the_last_result_is_shown_with_its_time(self, staff: Staff) -> None:
        self.verdict(holds=False, checked_at=NOW - timedelta(minutes=9))
        self.verdict(checked_at=NOW - timedelta(minutes=4))
        page = staff.get("index").content.decode()
        assert "All 26 rules hold." in page
        assert "Checked 4\N{NO-BREAK SPACE}minutes ago, at 2026-03-11 14:56:00." in page
        assert not tiles(staff)["books"]["is_old"]

    def test_an_old_result_is_marked(self, staff: Staff) -> None:
        self.verdict(checked_at=NOW - timedelta(hours=1) - INSTANT)
        assert tiles(staff)["books"]["is_old"]

    def test_violated_invariants_are_named(self, staff: Staff) -> None:
        broken = [{"invariant": "balance_is_ledger_sum", "count": 1_300, "examples": ["user 7: balance 1, ledger 0"]}]
        check = self.verdict(holds=False, violations=broken, skipped=["locks_expire"])
        page = " ".join(staff.get("index").content.decode().split())
        assert "1 rule does not hold:" in page
        assert '<li><span>balance_is_ledger_sum</span><span class="bo-figure">1,300</span></li>' in page
        assert "Not checked: locks_expire" in page
        assert f'<a href="/admin/invariants/invariantcheck/{check.pk}/change/"' in page


def test_an_empty_shop_has_a_dashboard_too(staff: Staff) -> None:
    page = " ".join(staff.get("index").content.decode().split())
    for sentence in (
        "Nothing was sold in these days.",
        "There is enough of every product for sale.",
        "No coupon can be issued now.",
        "All messages are delivered.",
        "Never checked.",
    ):
        assert sentence in page
    assert page.count("unchanged") == 6
