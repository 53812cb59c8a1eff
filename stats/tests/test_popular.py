"""`GET /api/products/popular`."""

from __future__ import annotations

from datetime import date, timedelta
from typing import TYPE_CHECKING

import pytest
from django.test import override_settings
from django.utils import timezone
from pytest_django import Settings

from commerce.core import redis_services
from stats import selectors
from stats.models import ProductStat
from tests.factories import ProductFactory
from tests.shop_state import statements
from tests.shopper import Shopper
from tests.together import together

if TYPE_CHECKING:
    from products.models import Product

pytestmark = pytest.mark.django_db(transaction=True)

POPULAR = "/api/products/popular"


@pytest.fixture
def today() -> date:
    return timezone.localdate()


def sold(product: Product, units: int, *, days_ago: int = 0) -> None:
    ProductStat.objects.create(
        product=product, date=timezone.localdate() - timedelta(days=days_ago), quantity_sold=units
    )


def ranking() -> list[tuple[int, int]]:
    """(product id, units) in the order of the list."""
    return [(row["productId"], row["quantitySold"]) for row in Shopper().get(POPULAR).json["results"]]


def test_units_are_summed_per_product_over_today_and_three_days_before(today: date) -> None:
    pen, ink = ProductFactory(name="Pen", price=1_200), ProductFactory(name="Ink", price=3_400)
    for days_ago, units in enumerate((1, 2, 4, 8, 1_000)):
        sold(pen, units, days_ago=days_ago)
    sold(ink, 16)
    answer = Shopper().get(POPULAR)
    assert answer.status == 200
    assert answer.json == {
        "from": (today - timedelta(days=3)).isoformat(),
        "to": today.isoformat(),
        "results": [
            {"rank": 1, "productId": ink.pk, "name": "Ink", "price": 3_400, "quantitySold": 16},
            {"rank": 2, "productId": pen.pk, "name": "Pen", "price": 1_200, "quantitySold": 15},
        ],
    }


def test_five_are_shown_and_ties_go_by_lower_id() -> None:
    products = [ProductFactory() for _ in range(7)]
    for product, units in zip(products, (3, 5, 3, 5, 9, 3, 3), strict=True):
        sold(product, units)
    expected = [(4, 9), (1, 5), (3, 5), (0, 3), (2, 3)]
    assert ranking() == [(products[position].pk, units) for position, units in expected]


def test_products_that_are_not_for_sale_are_left_out() -> None:
    gone, there = ProductFactory(is_active=False), ProductFactory()
    sold(gone, 100)
    sold(there, 1)
    assert ranking() == [(there.pk, 1)]


def test_products_without_sales_are_left_out() -> None:
    returned, even, seller = ProductFactory(), ProductFactory(), ProductFactory()
    sold(returned, -2)
    sold(even, 3, days_ago=1)
    sold(even, -3)
    sold(seller, 1)
    assert ranking() == [(seller.pk, 1)]


def test_an_empty_shop_has_an_empty_list(today: date) -> None:
    assert Shopper().get(POPULAR).json["results"] == []


def test_it_takes_one_query_and_none_while_cached() -> None:
    sold(ProductFactory(), 1)
    with statements() as first:
        ranking()
    with statements() as second:
        ranking()
    assert [statement.split()[0] for statement in first] == ["SELECT"]
    assert second == []


def test_the_list_is_cached_for_half_an_hour() -> None:
    pen = ProductFactory()
    sold(pen, 1)
    assert ranking() == [(pen.pk, 1)]
    ProductStat.objects.update(quantity_sold=7)
    assert ranking() == [(pen.pk, 1)]
    [key] = redis_services.cache.client.keys("page:popular:*")
    assert 1_790_000 < redis_services.cache.client.pttl(key) <= 1_800_000
    selectors.POPULAR.renew()
    assert ranking() == [(pen.pk, 7)]


def test_with_0_seconds_the_database_is_read_every_time(settings: Settings) -> None:
    settings.POPULAR_CACHE_SECONDS = 0
    pen = ProductFactory()
    sold(pen, 1)
    assert ranking() == [(pen.pk, 1)]
    ProductStat.objects.update(quantity_sold=7)
    assert ranking() == [(pen.pk, 7)]
    assert redis_services.cache.client.keys("page:popular:*") == []


def test_concurrent_requests_take_one_query(settings: Settings) -> None:
    sold(ProductFactory(), 1)
    rendered: list[int] = []

    def ask() -> int:
        with statements() as ran:
            units = ranking()[0][1]
        rendered.append(len(ran))
        return units

    assert together([ask] * 12) == [1] * 12
    assert sum(rendered) == 1


def test_an_unchanged_list_is_answered_304() -> None:
    sold(ProductFactory(), 1)
    shopper = Shopper()
    first = shopper.get(POPULAR)
    again = shopper.get(POPULAR, headers={"If-None-Match": first.headers["ETag"]})
    assert (again.status, again.content) == (304, b"")
    ProductStat.objects.update(quantity_sold=2)
    selectors.POPULAR.renew()
    changed = shopper.get(POPULAR, headers={"If-None-Match": first.headers["ETag"]})
    assert changed.status == 200
    assert changed.headers["ETag"] != first.headers["ETag"]


def test_today_is_the_shops_day() -> None:
    """At any time one of these zones has another date than Seoul, and yesterday's cached list is not used today."""
    zones = {}
    for zone in ("Pacific/Kiritimati", "Asia/Seoul", "Pacific/Pago_Pago"):
        with override_settings(TIME_ZONE=zone):
            zones[zone] = Shopper().get(POPULAR).json["to"]
            assert zones[zone] == timezone.localdate().isoformat()
    assert len(set(zones.values())) > 1


def test_without_redis_the_list_comes_from_the_database(settings: Settings) -> None:
    pen = ProductFactory()
    sold(pen, 3)
    redis_services.cache._paused_until = float("inf")
    assert ranking() == [(pen.pk, 3)]


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
def test_it_is_read_only(method: str) -> None:
    assert Shopper().send(method, POPULAR).outcome == (405, "method_not_allowed")
