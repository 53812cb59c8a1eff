"""Pages served from the memory of the process: the same responses as from Django, and never a stale one."""

import time
from collections.abc import Callable, Iterable
from typing import Any

import pytest
from pytest_django import Settings

from commerce.audit.record import Staff
from commerce.core import page_cache, redis_services
from commerce.core.page_cache import PageCache
from commerce.server import ready_pages
from products import services
from products.models import Product
from products.selectors import PRODUCT_LIST
from tests.breaking import growth_of
from tests.factories import StaffFactory
from tests.shop_state import statements
from tests.speed.calls import Counted, counted, environ_of

pytestmark = pytest.mark.django_db(transaction=True)

Wsgi = Callable[..., Iterable[bytes]]
PRODUCTS, POPULAR = "/api/products", "/api/products/popular"


@pytest.fixture(autouse=True)
def one_long_second(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pages in memory do not expire during a test."""
    now = time.time()
    monkeypatch.setattr(ready_pages, "time", lambda: now)


def get(application: Wsgi, path: str, **headers: str) -> Counted:
    return counted(application, environ_of("GET", path, headers=headers))


def is_from_memory(answer: Counted) -> bool:
    return not any("django.core.handlers" in name for name in answer.calls)


def without_id(answer: Counted) -> dict[str, str]:
    assert len(answer.headers.pop("X-Request-ID")) == 32
    return answer.headers


@pytest.mark.parametrize("path", [PRODUCTS, PRODUCTS + "?search=pen&pageSize=5", POPULAR])
@pytest.mark.parametrize("known", [None, '"another"', "the page's", "the page's, weak"])
def test_cached_responses_equal_djangos(application: Wsgi, pen: Product, path: str, known: str | None) -> None:
    etag = get(application, path).headers["ETag"]
    ready_pages.forget()
    given = {"the page's": etag, "the page's, weak": f"W/{etag}"}.get(known or "", known)
    headers = {} if given is None else {"HTTP_IF_NONE_MATCH": given}
    first, second = get(application, path, **headers), get(application, path, **headers)
    assert not is_from_memory(first)
    assert is_from_memory(second) == (known != '"another"')
    assert (first.status, first.body) == (second.status, second.body)
    assert first.status == (304 if given and etag in given else 200)
    assert without_id(first) == without_id(second)


@pytest.mark.parametrize(
    "headers",
    [
        {"HTTP_IF_MATCH": '"x"'}, {"HTTP_IF_UNMODIFIED_SINCE": "Sat, 28 Nov 2020 12:00:00 GMT"},
        {"HTTP_ACCEPT": "text/html"}, {"HTTP_HOST": "another.example"}, {"HTTP_X_FORWARDED_PROTO": "https"},
        {"REQUEST_METHOD": "HEAD"}, {"REQUEST_METHOD": "DELETE"}, {"QUERY_STRING": "page=2"}, {"SCRIPT_NAME": "/shop"},
    ],
    ids=str,
)  # fmt: skip
def test_a_different_request_is_not_served_from_memory(
    application: Wsgi, pen: Product, headers: dict[str, str]
) -> None:
    get(application, PRODUCTS)
    assert is_from_memory(get(application, PRODUCTS))
    assert not is_from_memory(get(application, PRODUCTS, **headers))


@pytest.mark.parametrize("query", ["?x=1", "?page=1&x=1", "?minPrice=x"])
def test_requests_with_invalid_parameters_are_not_cached(application: Wsgi, pen: Product, query: str) -> None:
    for _ in range(2):
        assert not is_from_memory(get(application, PRODUCTS + query))
    assert ready_pages._ready == {}


def test_the_cache_has_a_limit(application: Wsgi, pen: Product, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ready_pages, "MOST_PAGES", 3)
    for number in range(8):
        get(application, f"{PRODUCTS}?maxPrice={2_000 + number}")
        assert len(ready_pages._ready) <= 3


def test_a_cached_page_needs_no_statement_and_is_counted(application: Wsgi, pen: Product) -> None:
    get(application, PRODUCTS)
    with (
        growth_of("commerce_cache_lookups_total", page="products", outcome="hit") as hits,
        growth_of("commerce_requests_total", route="/api/products", method="GET", status="200") as requests,
        statements() as ran,
    ):
        assert get(application, PRODUCTS).json["count"] == 1
    assert (hits.by, requests.by, ran) == (1, 1, [])


def test_a_staff_edit_shows_at_once(application: Wsgi, pen: Product) -> None:
    get(application, PRODUCTS)
    pen.price = 9_900
    services.save_product(pen, by=Staff(StaffFactory().pk, "Dearer."))
    assert get(application, PRODUCTS).json["results"][0]["price"] == 9_900


def another_process() -> PageCache:
    """A process has its own lease."""
    return PageCache(PRODUCT_LIST.name)


def test_a_renewed_list_is_stale_in_every_process_at_once() -> None:
    others = [another_process() for _ in range(3)]
    before = {other.generation() for other in others}
    PRODUCT_LIST.renew()
    after = {other.generation() for other in others}
    assert len(before) == len(after) == 1
    assert before != after


def test_without_the_wait_another_process_serves_the_old_page(monkeypatch: pytest.MonkeyPatch) -> None:
    """The control of the test above."""
    monkeypatch.setattr(page_cache, "LEASE_SECONDS", 60.0)
    monkeypatch.setattr(page_cache, "sleep", lambda seconds: None)
    other = another_process()
    before = other.generation()
    PRODUCT_LIST.renew()
    assert other.generation() == before


def test_redis_is_queried_once_per_lease(application: Wsgi, pen: Product, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(page_cache, "LEASE_SECONDS", 60.0)
    get(application, PRODUCTS)
    get(application, PRODUCTS)
    with monkeypatch.context() as patched:
        patched.setattr(redis_services.cache, "read", None)
        assert all(is_from_memory(get(application, PRODUCTS)) for _ in range(5))


def test_a_page_expires_with_its_second(application: Wsgi, pen: Product, monkeypatch: pytest.MonkeyPatch) -> None:
    get(application, PRODUCTS)
    later = time.time() + 1
    monkeypatch.setattr(ready_pages, "time", lambda: later)
    assert not is_from_memory(get(application, PRODUCTS))
    assert is_from_memory(get(application, PRODUCTS))


def test_without_redis_nothing_is_served_from_memory(application: Wsgi, pen: Product) -> None:
    get(application, PRODUCTS)
    PRODUCT_LIST.forget_lease()
    redis_services.cache._paused_until = float("inf")
    for _ in range(2):
        answer = get(application, PRODUCTS)
        assert (answer.json["count"], is_from_memory(answer)) == (1, False)


def test_a_list_without_caching_is_not_stored(application: Wsgi, pen: Product, settings: Settings) -> None:
    settings.PRODUCT_LIST_CACHE_SECONDS = 0
    for _ in range(2):
        assert not is_from_memory(get(application, PRODUCTS))


def test_a_stopping_server_closes_connections_of_cached_pages(
    application: Wsgi, pen: Product, settings: Settings, tmp_path: Any
) -> None:
    get(application, PRODUCTS)
    settings.WEB_ENDING_FILE = str(tmp_path)
    answer = get(application, PRODUCTS)
    assert is_from_memory(answer)
    assert answer.headers["Connection"] == "close"


def test_the_callers_request_id_is_returned(application: Wsgi, pen: Product) -> None:
    get(application, PRODUCTS)
    assert get(application, PRODUCTS, HTTP_X_REQUEST_ID="mine-7").headers["X-Request-ID"] == "mine-7"
    assert len(get(application, PRODUCTS, HTTP_X_REQUEST_ID="<script>").headers["X-Request-ID"]) == 32
