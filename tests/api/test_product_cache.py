"""The product list's cache: conditional requests, staff edits, expiry, a cold start."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext

import pytest
from pytest_django import Settings

from commerce.audit.record import Staff
from commerce.core import page_cache, redis_services
from commerce.idempotency.commit import Idempotency
from products import services, views
from products.models import Product
from tests.factories import ProductFactory, StaffFactory, UserFactory, order_of
from tests.shop_state import statements
from tests.shopper import Shopper
from tests.together import together

pytestmark = pytest.mark.django_db(transaction=True)

PRODUCTS = "/api/products"
CROWD = 20


@pytest.fixture
def clerk() -> Staff:
    return Staff(StaffFactory().pk, "Counted.")


def test_an_unchanged_list_is_answered_304(stranger: Shopper, pen: Product) -> None:
    first = stranger.get(PRODUCTS)
    assert first.headers["ETag"].startswith('"')
    assert first.headers["Cache-Control"] == "no-cache"
    again = stranger.get(PRODUCTS, headers={"If-None-Match": first.headers["ETag"]})
    assert again.status == 304
    assert again.content == b""
    assert again.headers["ETag"] == first.headers["ETag"]


@pytest.mark.parametrize("tags", ['"of another list"', 'W/"x", "y"', "garbage"])
def test_a_list_with_another_etag_is_sent(stranger: Shopper, pen: Product, tags: str) -> None:
    assert stranger.get(PRODUCTS, headers={"If-None-Match": tags}).json["count"] == 1


def test_one_matching_etag_of_several_is_enough(stranger: Shopper, pen: Product) -> None:
    tag = stranger.get(PRODUCTS).headers["ETag"]
    assert stranger.get(PRODUCTS, headers={"If-None-Match": f'"old", {tag}'}).status == 304
    assert stranger.get(PRODUCTS, headers={"If-None-Match": f"W/{tag}"}).status == 304
    assert stranger.get(PRODUCTS, headers={"If-None-Match": "*"}).status == 304


def test_the_list_is_cached_for_a_minute(stranger: Shopper, pen: Product) -> None:
    stranger.get(PRODUCTS)
    [key] = [key for key in redis_services.cache.client.keys("page:products:*") if b"generation" not in key]
    assert 58_000 < redis_services.cache.client.pttl(key) <= 60_000


def test_a_staff_edit_shows_at_once(stranger: Shopper, pen: Product, clerk: Staff) -> None:
    before = stranger.get(PRODUCTS)
    pen.name, pen.price = "Fountain pen", 9_900
    services.save_product(pen, by=clerk)
    after = stranger.get(PRODUCTS, headers={"If-None-Match": before.headers["ETag"]})
    assert after.status == 200
    assert [(product["name"], product["price"]) for product in after.json["results"]] == [("Fountain pen", 9_900)]


def test_a_deactivated_product_disappears_at_once(stranger: Shopper, pen: Product, clerk: Staff) -> None:
    stranger.get(PRODUCTS)
    pen.is_active = False
    services.save_product(pen, by=clerk)
    assert stranger.get(PRODUCTS).json["count"] == 0


def test_an_edit_invalidates_all_pages_and_filters(stranger: Shopper, pen: Product, clerk: Staff) -> None:
    queries: list[dict[str, str]] = [{}, {"search": "pen"}, {"ordering": "-price", "pageSize": "1"}]
    for query in queries:
        stranger.get(PRODUCTS, query)
    pen.price = 1
    services.save_product(pen, by=clerk)
    assert [stranger.get(PRODUCTS, query).json["results"][0]["price"] for query in queries] == [1, 1, 1]


def test_a_page_rendered_with_the_old_price_is_not_cached(
    stranger: Shopper, pen: Product, clerk: Staff, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise the edit would not be visible for a minute."""
    render = views._render_list

    def edited_meanwhile(request: object) -> bytes:
        rendered: bytes = render(request)  # type: ignore[arg-type]  # passed through as it came
        monkeypatch.setattr(views, "_render_list", render)
        pen.price = 77
        services.save_product(pen, by=clerk)
        return rendered

    monkeypatch.setattr(views, "_render_list", edited_meanwhile)
    assert stranger.get(PRODUCTS).json["results"][0]["price"] == 1_200
    assert stranger.get(PRODUCTS).json["results"][0]["price"] == 77


def test_a_sale_does_not_invalidate_the_list(stranger: Shopper, pen: Product) -> None:
    stranger.get(PRODUCTS)
    order_of(UserFactory(balance=10_000), {pen: 3})
    with statements() as ran:
        assert stranger.get(PRODUCTS).json["results"][0]["stock"] == 10
    assert ran == []


def test_a_stock_correction_shows_at_once(stranger: Shopper, pen: Product, clerk: Staff) -> None:
    stranger.get(PRODUCTS)
    services.adjust_stock(product_id=pen.pk, delta=-4, by=clerk, idempotency=Idempotency.none())
    assert stranger.get(PRODUCTS).json["results"][0]["stock"] == 6


def test_each_search_has_its_own_page(stranger: Shopper, pen: Product) -> None:
    chair = ProductFactory(name="Chair", price=45_000)
    assert stranger.get(PRODUCTS, search="pen").json["results"][0]["id"] == pen.pk
    assert stranger.get(PRODUCTS, search="chair").json["results"][0]["id"] == chair.pk


def test_without_a_cache_time_every_request_reads_the_database(
    stranger: Shopper, pen: Product, settings: Settings
) -> None:
    settings.PRODUCT_LIST_CACHE_SECONDS = 0
    stranger.get(PRODUCTS)
    with statements() as ran:
        stranger.get(PRODUCTS)
    assert len(ran) == 2


@contextmanager
def counted_renders(monkeypatch: pytest.MonkeyPatch, before: Callable[[], object]) -> Iterator[list[int]]:
    """Counts renderings of the list; calls `before` at the start of each."""
    render = views._render_list
    counted: list[int] = []

    def counting(request: object) -> bytes:
        counted.append(threading.get_ident())
        before()
        rendered: bytes = render(request)  # type: ignore[arg-type]  # passed through as it came
        return rendered

    monkeypatch.setattr(views, "_render_list", counting)
    yield counted


def test_concurrent_requests_render_a_cold_list_once(pen: Product, monkeypatch: pytest.MonkeyPatch) -> None:
    crowd_is_here = threading.Barrier(CROWD)

    def look() -> int:
        crowd_is_here.wait()
        count: int = Shopper().get(PRODUCTS).json["count"]
        return count

    with counted_renders(monkeypatch, before=lambda: None) as renders:
        assert together([look] * CROWD) == [1] * CROWD
    assert len(renders) == 1


def test_without_the_guard_a_cold_list_is_rendered_repeatedly(pen: Product, monkeypatch: pytest.MonkeyPatch) -> None:
    """The control of the test above, without `single_flight`."""
    monkeypatch.setattr(page_cache, "single_flight", lambda key: nullcontext())
    two_render = threading.Barrier(2)

    with counted_renders(monkeypatch, before=two_render.wait) as renders:
        assert together([lambda: Shopper().get(PRODUCTS).json["count"]] * 2) == [1, 1]
    assert len(renders) == 2
