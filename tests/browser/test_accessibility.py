"""Every page of the back-office without a critical or serious finding of axe-core, in both themes; and by keyboard."""

import pytest

from tests.browser.axe import findings
from tests.browser.conftest import AtWork
from tests.browser.desk import PHONE, Desk
from tests.browser.test_every_page import first_row

FORMS = (
    "/admin/mail/order-cancelled/en/",
    "/admin/products/product/add/",
    "/admin/products/product/import/",
    "/admin/products/product/1/adjust-stock/",
    "/admin/coupons/coupon/add/",
    "/admin/coupons/coupon/1/stop/",
    "/admin/balances/user/add/",
    "/admin/balances/user/8/adjust-balance/",
    "/admin/balances/user/8/password/",
    "/admin/auth/group/add/",
    "/admin/stats/productstat/rebuild/",
    "/admin/stats/productstat/?days=7&compare=1",
    "/admin/orders/order/?q=nobody-is-called-so",
    "/admin/orders/order/?status__exact=LOST",
    "/admin/products/product/1/history/",
    "/admin/password_change/",
    "/admin/second-factor/",
    "/admin/sessions/",
    "/admin/notes/orders.order/1/write/",
)
"""Pages without a link in the menu or in the first row of a list."""


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_axe_finds_nothing_serious_on_any_page(at_work: AtWork, bought: int, dark: bool) -> None:
    desk = at_work("admin", dark=dark)
    wrong: dict[str, list[str]] = {}

    def look(path: str) -> None:
        desk.open(path)
        if found := findings(desk.page):
            wrong[path] = found

    for path in desk.places():
        look(path)
        if row := first_row(desk):
            look(row)
    for path in (*FORMS, f"/admin/orders/order/{bought}/change/", f"/admin/orders/order/{bought}/cancel/"):
        look(path)
    # Error pages and the login page are checked too, so their status is no error.
    errors_before = len(desk.wrong)
    look("/admin/nowhere/")
    desk.window.clear_cookies()
    look("/admin/login/?next=/admin/")
    del desk.wrong[errors_before:]
    assert wrong == {}


def focused(desk: Desk) -> str:
    """The name and the tag of the focused element."""
    return str(
        desk.page.evaluate(
            "(e => `${e.tagName} ${e.getAttribute('aria-label') || e.textContent.trim()}`)(document.activeElement)"
        )
    )


def test_the_menu_is_passed_and_toggled_with_the_keyboard(at_work: AtWork) -> None:
    desk = at_work("viewer")
    desk.open("/admin/orders/order/")
    desk.page.keyboard.press("Tab")
    assert focused(desk) == "A Skip to the content"
    desk.page.keyboard.press("Enter")
    assert desk.page.evaluate("document.activeElement.id") == "content"

    toggle = desk.page.get_by_role("button", name="Show or hide the menu")
    menu = desk.page.locator("#nav-sidebar")
    toggle.focus()
    desk.page.keyboard.press("Enter")
    menu.wait_for(state="hidden")
    desk.page.keyboard.press("Space")
    menu.wait_for(state="visible")


def test_the_menu_of_a_phone_and_of_the_account_open_with_the_keyboard(at_work: AtWork) -> None:
    desk = at_work("viewer", size=PHONE)
    menu = desk.page.locator("#nav-sidebar")
    desk.page.get_by_role("button", name="Show or hide the menu").focus()
    desk.page.keyboard.press("Enter")
    menu.wait_for(state="visible")
    desk.page.locator("#nav-sidebar [role=button]", has_text="viewer").focus()
    desk.page.keyboard.press("Enter")
    desk.page.get_by_role("link", name="Change password").wait_for(state="visible")
    desk.page.get_by_role("button", name="Close the menu").focus()
    desk.page.keyboard.press("Enter")
    menu.wait_for(state="hidden")


def test_a_page_has_one_heading_that_names_it_and_icons_are_not_read(at_work: AtWork) -> None:
    desk = at_work("admin")
    for path, name in (("/admin/", "Dashboard"), ("/admin/orders/order/", "Orders"), ("/admin/second-factor/", None)):
        desk.open(path)
        headings = desk.page.locator("h1").all_text_contents()
        assert len(headings) == 1
        assert name is None or headings == [name]
        assert desk.page.locator("main").count() == 1
        assert desk.page.locator(".material-symbols-outlined:not([aria-hidden])").count() == 0
