"""A name of 200 characters without a space is wrapped or truncated and does not overflow the page."""

from collections.abc import Iterator

import psycopg
import pytest

from tests.browser.conftest import AtWork
from tests.browser.desk import DESKTOP, PHONE
from tests.embedded.stack import Stack

LONG = "W" * 200
NARROW = {"width": 1024, "height": 768}
ORDER = """
    SELECT item.order_id FROM order_item AS item JOIN "order" ON "order".id = item.order_id
    WHERE item.product_id = 1 ORDER BY "order".id DESC LIMIT 1
"""
TOO_WIDE = """
    () => [...document.querySelectorAll("main *, #main *, #content *")].filter(each => {
        const box = each.getBoundingClientRect();
        const isTooWide = box.width > 0 && box.right > window.innerWidth + 1;
        return isTooWide && !each.closest(".simplebar-content, .overflow-x-auto");
    }).map(each => each.outerHTML.slice(0, 120)).slice(0, 3)
"""


@pytest.fixture
def long_names(stack: Stack, bought: int) -> Iterator[int]:
    """Create a product, a coupon and a customer with long names, and an order of the product; returns its number."""
    with psycopg.connect(stack.run()["database_url"], autocommit=True) as database:
        before = database.execute("SELECT name FROM product WHERE id = 1").fetchone()
        coupons = database.execute("SELECT id, name FROM coupon").fetchall()
        assert before is not None
        database.execute("UPDATE product SET name = %s WHERE id = 1", [LONG])
        database.execute("UPDATE order_item SET product_name = %s WHERE order_id = %s", [LONG, bought])
        database.execute("UPDATE coupon SET name = %s", [LONG])
        yield bought
        database.execute("UPDATE product SET name = %s WHERE id = 1", [before[0]])
        for coupon_id, name in coupons:
            database.execute("UPDATE coupon SET name = %s WHERE id = %s", [name, coupon_id])


@pytest.mark.parametrize("size", [DESKTOP, NARROW, PHONE], ids=["desktop", "narrow", "phone"])
def test_prices_and_figures_stay_in_sight(at_work: AtWork, long_names: int, size: dict[str, int]) -> None:
    desk = at_work("admin", size=size)
    for path in (
        "",
        f"orders/order/{long_names}/change/",
        f"orders/order/{long_names}/cancel/",
        "products/product/1/change/",
        "coupons/coupon/1/change/",
        "stats/productstat/",
        "products/product/1/history/",
    ):
        desk.open(f"/admin/{path}")
        desk.screenshot(f"long-names-{path.strip('/').replace('/', '-') or 'dashboard'}-{size['width']}")
        assert desk.page.evaluate(TOO_WIDE) == [], path
        # Horizontal scrolling of tables is allowed on phones only.
        if size != PHONE:
            scrolled = (
                "() => [...document.querySelectorAll('.overflow-x-auto')].map(e => e.scrollWidth - e.clientWidth)"
            )
            assert max([0, *desk.page.evaluate(scrolled)]) <= 1, path


@pytest.mark.parametrize("size", [DESKTOP, NARROW], ids=["desktop", "narrow"])
def test_no_column_of_a_list_is_stretched(at_work: AtWork, long_names: int, size: dict[str, int]) -> None:
    desk = at_work("admin", size=size)
    for path in ("products/product", "coupons/coupon", "coupons/usercoupon", "orders/order", "products/stockmovement"):
        desk.open(f"/admin/{path}/")
        desk.screenshot(f"long-names-{path.replace('/', '-')}-{size['width']}")
        widths = desk.page.evaluate("() => [...document.querySelectorAll('#result_list td')].map(e => e.offsetWidth)")
        assert max(widths) <= size["width"] * 0.45, path
