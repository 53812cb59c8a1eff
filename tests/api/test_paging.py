"""Cursor pagination of histories: every entry once, also while new entries are added."""

from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from django.db import connection
from django.test import RequestFactory
from django.utils import timezone
from rest_framework.pagination import Cursor
from rest_framework.request import Request

from balances.models import LedgerEntry, User
from commerce.api.paging import HistoryPages
from coupons.models import Coupon, UserCoupon
from tests.factories import CouponFactory, ProductFactory, UserCouponFactory, UserFactory, charged, order_of
from tests.shop_state import statements
from tests.shopper import Answer, Shopper

pytestmark = pytest.mark.django_db(transaction=True)

HISTORY = "/api/users/balance/history"


def charge(user: User, count: int) -> list[int]:
    """Create `count` ledger entries of 1 won; returns their ids, oldest first."""
    return [charged(user).pk for _ in range(count)]


def walk(
    shopper: Shopper, address: str | None, *, by: str = "next", between: Callable[[], object] = lambda: None
) -> list[list[int]]:
    """The ids on all pages from `address` on; calls `between` after each page."""
    pages = []
    while address:
        answer = shopper.get(address.removeprefix("http://testserver"))
        pages.append([entry["id"] for entry in answer.json["results"]])
        between()
        address = answer.json[by]
    return pages


@pytest.mark.parametrize(("count", "size", "lengths"), [(0, 3, [0]), (3, 3, [3]), (7, 3, [3, 3, 1]), (5, 1, [1] * 5)])
def test_every_entry_is_shown_exactly_once(count: int, size: int, lengths: list[int]) -> None:
    user = UserFactory()
    ids = charge(user, count)
    pages = walk(Shopper(user), f"{HISTORY}?pageSize={size}")
    assert [len(page) for page in pages] == lengths
    assert [each for page in pages for each in page] == ids[::-1]


def test_new_entries_cause_no_duplicates_or_gaps() -> None:
    user = UserFactory()
    ids = charge(user, 9)
    pages = walk(Shopper(user), f"{HISTORY}?pageSize=2", between=lambda: charge(user, 3))
    assert [each for page in pages for each in page] == ids[::-1]


def test_previous_links_lead_back_to_the_first_page() -> None:
    user = UserFactory()
    ids = charge(user, 7)
    shopper = Shopper(user)
    first = shopper.get(HISTORY, pageSize=3).json
    second = shopper.get(first["next"].removeprefix("http://testserver")).json
    back = walk(shopper, second["previous"], by="previous")
    assert [each for page in back for each in page] == ids[:-4:-1]


def test_a_previous_link_shows_new_entries() -> None:
    user = UserFactory()
    charge(user, 4)
    shopper = Shopper(user)
    first = shopper.get(HISTORY, pageSize=2).json
    second = shopper.get(first["next"].removeprefix("http://testserver")).json
    arrived = charge(user, 1)
    back = walk(shopper, second["previous"], by="previous")
    assert [each for page in back for each in page][-1:] == arrived


def test_links_keep_the_filters() -> None:
    user = UserFactory(balance=100_000)
    pen = ProductFactory(price=10)
    orders = [order_of(user, {pen: 1}) for _ in range(4)]
    pages = walk(Shopper(user), f"{HISTORY}?pageSize=3&type=PAYMENT")
    payments = LedgerEntry.objects.filter(type="PAYMENT").order_by("-id").values_list("id", flat=True)
    assert [each for page in pages for each in page] == list(payments)
    assert len(payments) == len(orders)


def test_orders_and_coupons_are_paged_the_same_way() -> None:
    user = UserFactory(balance=100_000)
    pen = ProductFactory(price=10)
    orders = [order_of(user, {pen: 1}).pk for _ in range(5)]
    units = [UserCouponFactory(user=user).pk for _ in range(5)]
    shopper = Shopper(user)
    for path, ids in (
        ("/api/users/orders", orders),
        ("/api/users/coupons", units),
        ("/api/coupons", list(Coupon.objects.order_by("id").values_list("id", flat=True))),
    ):
        assert walk(shopper, f"{path}?pageSize=2") == [ids[:2:-1], ids[2:0:-1], ids[:1]]


def test_page_size_defaults_to_20_and_is_at_most_100() -> None:
    user = UserFactory()
    charge(user, 101)
    shopper = Shopper(user)
    assert len(shopper.get(HISTORY).json["results"]) == 20
    assert len(shopper.get(HISTORY, pageSize=100).json["results"]) == 100


def test_the_hundredth_page_costs_as_much_as_the_first() -> None:
    """Each page is one query on an index, and its plan reads only the rows of the page."""
    user = UserFactory()
    charge(user, 1)
    LedgerEntry.objects.bulk_create(
        LedgerEntry(
            user=user, type="CHARGE", amount=0, balance_after=1, created_at=timezone.now(), entry_hash=bytes(32)
        )
        for _ in range(5_000)
    )
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE user_balance_tx")
    shopper = Shopper(user)
    deep = LedgerEntry.objects.order_by("id")[40].pk
    with statements() as ran:
        shopper.get(HISTORY, cursor=cursor_at(deep))
    assert len(ran) == 1
    with connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN (ANALYZE, FORMAT JSON) {ran[0]}")
        [[plan]] = cursor.fetchall()
    nodes = _nodes(plan[0]["Plan"])
    assert {node["Node Type"] for node in nodes} <= {"Limit", "Index Scan"}
    assert max(node["Actual Rows"] for node in nodes) <= 21


def _nodes(plan: dict[str, Any]) -> list[dict[str, Any]]:
    return [plan, *(node for part in plan.get("Plans", []) for node in _nodes(part))]


def cursor_at(position: int) -> str:
    """The cursor of the ledger page that begins after this entry."""
    pages = HistoryPages()
    pages.request = Request(RequestFactory().get(HISTORY))
    pages.base_url = HISTORY
    return parse_qs(urlsplit(pages.encode_cursor(Cursor(0, False, position))).query)["cursor"][0]


def next_cursor(shopper: Shopper, path: str, **query: str) -> str:
    link: str = shopper.get(path, {"pageSize": "1", **query}).json["next"]
    return parse_qs(urlsplit(link).query)["cursor"][0]


def refused(answer: Answer) -> bool:
    return answer.status == 400 and [error["field"] for error in answer.json["errors"]] == ["cursor"]


@pytest.mark.parametrize("junk", ["", "!!!!", "cD0x", "bz0wJnA9MQ==", "0.0.1", "~", "0.0.1~", "한글"])
def test_an_invalid_cursor_is_refused(junk: str) -> None:
    user = UserFactory()
    charge(user, 2)
    assert refused(Shopper(user).get(HISTORY, cursor=junk))


def test_a_damaged_cursor_is_refused() -> None:
    user = UserFactory()
    charge(user, 3)
    shopper = Shopper(user)
    cursor = next_cursor(shopper, HISTORY)
    assert shopper.get(HISTORY, cursor=cursor).status == 200
    for place in range(len(cursor) + 1):
        assert refused(shopper.get(HISTORY, cursor=f"{cursor[:place]}A{cursor[place:]}")), place
    assert refused(shopper.get(HISTORY, cursor=cursor[:-1]))


def test_a_cursor_of_another_list_is_refused() -> None:
    user = UserFactory(balance=100)
    charge(user, 3)
    for _ in range(2):
        order_of(user, {ProductFactory(price=10): 1})
        UserCouponFactory(user=user)
    shopper = Shopper(user)
    lists = [
        (HISTORY, {}),
        (HISTORY, {"type": "CHARGE"}),
        ("/api/users/orders", {}),
        ("/api/users/coupons", {}),
        ("/api/coupons", {}),
    ]
    cursors = [next_cursor(shopper, path, **query) for path, query in lists]
    for own, (path, query) in enumerate(lists):
        accepted = [not refused(shopper.get(path, query, cursor=cursor, pageSize=2)) for cursor in cursors]
        assert accepted == [each == own for each in range(len(lists))], path


def test_a_coupon_issued_meanwhile_does_not_shift_the_wallet() -> None:
    user = UserFactory()
    units = [UserCouponFactory(user=user).pk for _ in range(5)]
    shopper = Shopper(user)
    pages = walk(
        shopper,
        "/api/users/coupons?pageSize=2",
        between=lambda: shopper.post(f"/api/coupons/{CouponFactory().pk}/issue"),
    )
    assert [each for page in pages for each in page] == units[::-1]
    assert UserCoupon.objects.count() == 5 + len(pages)
