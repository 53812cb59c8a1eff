"""The number of clicks of common tasks, which must match docs/back-office.md.

A click is a press of the mouse or of Enter; typing and Ctrl-K do not count.
"""

import re
from pathlib import Path

import psycopg
import pytest
from playwright.sync_api import Locator

from commerce.embedded.children import PROJECT_ROOT
from tests.browser.axe import findings
from tests.browser.conftest import CUSTOMER, AtWork, buy
from tests.browser.desk import Desk
from tests.browser.test_every_page import WINDOWS, look_at
from tests.browser.test_jobs import received
from tests.embedded.processes import wait_for
from tests.embedded.stack import Stack

DOCUMENT = PROJECT_ROOT / "docs" / "back-office.md"


class Counted:
    """A window at the dashboard, with the number of clicks."""

    def __init__(self, desk: Desk) -> None:
        self.desk, self.page, self.clicks = desk, desk.page, 0

    def click(self, target: Locator) -> None:
        target.click()
        self.clicks += 1
        self.page.wait_for_load_state()

    def press(self, name: str) -> None:
        named = re.compile(rf"^(\w+\s+)?{name}$")
        main = self.page.locator("#main")
        self.click(main.get_by_role("button", name=named).or_(main.get_by_role("link", name=named)).first)

    def find(self, text: str, *, patiently: bool = False) -> None:
        """Press Ctrl-K, type the text, press Enter."""
        field = self.desk.search(text)
        if patiently:
            self.page.locator("#command-results-list a").first.wait_for()
        with self.page.expect_navigation():
            field.press("Enter")
        self.clicks += 1


def jobs() -> dict[str, int]:
    """The tasks in the document, each with its number of clicks."""
    _before, _heading, rest = DOCUMENT.read_text().partition("| job | way | clicks |\n|---|---|---|\n")
    rows = rest.partition("\n\n")[0].splitlines()
    return {job.strip(): int(clicks) for _empty, job, _way, clicks, _end in (row.split("|") for row in rows)}


def promised(job: str) -> int:
    """The number of clicks of a task according to the document."""
    return jobs()[job]


def test_every_task_is_counted() -> None:
    assert set(re.findall(r'promised\("(.+?)"\)', Path(__file__).read_text())) == set(jobs())


@pytest.mark.parametrize("patiently", [False, True], ids=["at once", "after the list is there"])
def test_an_order_is_found(at_work: AtWork, bought: int, patiently: bool) -> None:
    at = Counted(at_work("support"))
    at.find(str(bought), patiently=patiently)
    at.page.wait_for_url(f"**/admin/orders/order/{bought}/change/")
    assert at.clicks == promised("find an order, a customer, a product, a coupon or an event") <= 2


def test_a_wallet_is_credited(at_work: AtWork) -> None:
    at = Counted(at_work("finance"))
    at.find("customer8@example.com")
    at.page.wait_for_url("**/admin/balances/user/8/change/")
    at.press("Adjust balance")
    at.click(at.page.get_by_label("Credit: the customer gets"))
    at.page.locator("#id_amount_won").fill("700")
    at.page.locator("#id_reason").fill("Counted clicks")
    at.click(at.page.locator("#content form button[type=submit]").first)
    at.press("Yes, credit")
    at.page.wait_for_url("**/admin/balances/user/8/change/")
    assert "Counted clicks" in at.desk.text()
    assert at.clicks == promised("credit a wallet") <= 5


def test_an_event_is_sent_again(at_work: AtWork, stack: Stack, bought: int) -> None:
    key = f"order-completed:{bought}:"
    wait_for(lambda: len(received(stack, key)) == 1)
    at = Counted(at_work("operator"))
    at.find(str(bought))
    at.press("Send again")
    at.page.locator("#id_reason").fill("The partner lost it.")
    at.press("Send again")
    at.page.get_by_text("queued.").wait_for()
    wait_for(lambda: len(received(stack, key)) == 2)
    assert at.clicks == promised("a partner did not get an order") <= 3


def test_a_note_is_written(at_work: AtWork) -> None:
    at = Counted(at_work("support"))
    at.find("customer7@example.com")
    at.page.locator("#id_text").fill("Rang twice.\nWill ring again.")
    at.press("Write a note")
    at.page.get_by_text("The note is saved.").wait_for()
    assert "Will ring again." in at.desk.text()
    assert at.clicks == promised("write a note")


def test_an_empty_search_result_is_reported(at_work: AtWork) -> None:
    at = Counted(at_work("viewer"))
    field = at.desk.search("nobody-is-called-so")
    at.page.get_by_text("Nothing was found for “nobody-is-called-so”.").wait_for()
    field.press("Enter")
    at.page.wait_for_url("**/admin/")
    assert "Nothing was found for “nobody-is-called-so”." in at.desk.text()


def test_results_are_selected_with_the_arrows(at_work: AtWork) -> None:
    at = Counted(at_work("admin"))
    field = at.desk.search("customer7")
    links = at.page.locator("#command-results-list a")
    links.first.wait_for()
    assert findings(at.page) == []
    field.press("ArrowDown")
    address = links.first.get_attribute("href")
    assert address is not None
    with at.page.expect_navigation():
        field.press("Enter")
    assert at.page.url.endswith(address)


def test_a_bar_leads_to_its_orders(at_work: AtWork) -> None:
    desk = at_work("viewer")
    chart = desk.page.locator("canvas.chart").first
    chart.wait_for()
    box = chart.bounding_box()
    assert box is not None
    with desk.page.expect_navigation():
        chart.click(position={"x": box["width"] - 15, "y": box["height"] - 60})
    assert "ordered_date_from=" in desk.page.url
    desk.open("/admin/")
    desk.page.get_by_text("As a list").first.press("Enter")
    with desk.page.expect_navigation():
        desk.page.locator("details[open] a").first.press("Enter")
    assert "ordered_date_from=" in desk.page.url


def the_list(at: Counted, path: str) -> None:
    """Opened from the menu."""
    at.click(at.page.locator(f"#nav-sidebar a[href='{path}']").first)


def test_yesterdays_orders_are_listed(at_work: AtWork) -> None:
    at = Counted(at_work("viewer"))
    the_list(at, "/admin/orders/order/")
    at.press("Yesterday")
    assert at.page.url.endswith("?ordered_date_days=yesterday")
    assert at.clicks == promised("yesterday's orders")


def test_the_largest_orders_stand_first(at_work: AtWork) -> None:
    at = Counted(at_work("viewer"))
    the_list(at, "/admin/orders/order/")
    for _way in ("rising", "falling"):
        at.click(at.page.locator("thead").get_by_role("link", name="Paid", exact=True))
    paid = at.page.locator("td.field-paid").all_inner_texts()
    amounts = [int(text.replace("₩", "").replace(",", "")) for text in paid]
    assert len(amounts) > 1
    assert amounts == sorted(amounts, reverse=True)
    assert at.clicks == promised("the largest orders")


def test_a_chip_removes_its_filter(at_work: AtWork) -> None:
    at = Counted(at_work("viewer"))
    at.desk.open("/admin/orders/order/?status__exact=CANCELLED&q=customer")
    at.click(at.page.locator("a.bo-active", has_text="Cancelled"))
    assert at.page.url.endswith("/admin/orders/order/?q=customer")
    assert at.clicks == promised("remove a filter")


def test_a_view_is_saved_opened_and_deleted(at_work: AtWork) -> None:
    at = Counted(at_work("finance"))
    at.desk.open("/admin/orders/order/?status__exact=CANCELLED&ordered_date_days=month")
    at.click(at.page.get_by_text("Save as a view"))
    at.page.locator(".bo-save input[name=name]").fill("Cancelled this month")
    at.press("Save")
    at.page.get_by_text("The view “Cancelled this month” is saved.").wait_for()
    assert at.clicks == promised("save a view of a list")
    at.desk.open("/admin/")
    at.clicks = 0
    the_list(at, "/admin/orders/order/")
    at.press("Cancelled this month")
    assert at.page.url.endswith("?ordered_date_days=month&status__exact=CANCELLED")
    assert at.clicks == promised("open a view")
    at.click(at.page.get_by_role("button", name="Delete the view Cancelled this month"))
    at.page.get_by_text("The view “Cancelled this month” is deleted.").wait_for()
    assert at.page.get_by_role("link", name="Cancelled this month").count() == 0


def test_one_price_is_changed(at_work: AtWork) -> None:
    at = Counted(at_work("merchandiser"))
    at.find("Celadon")
    price = at.page.locator("#id_price")
    price.fill(str(int(price.input_value()) + 100))
    at.click(at.page.locator("button[name=_save], input[name=_save]").first)
    at.page.get_by_text("was changed successfully").wait_for()
    assert at.clicks == promised("a new price for one product")


def test_some_prices_are_changed_in_place(at_work: AtWork) -> None:
    at = Counted(at_work("merchandiser"))
    the_list(at, "/admin/products/product/")
    at.press("Edit these")
    prices = at.page.locator("input[name^=price_]")
    for number in (0, 1):
        prices.nth(number).fill(str(int(prices.nth(number).input_value()) + 100))
    at.press("Show what changes")
    at.desk.screenshot("job-prices-preview")
    assert findings(at.page) == []
    at.page.locator("#id_reason").fill("Counted clicks")
    at.press("Change 2 products")
    at.page.get_by_text("2 products are changed.").wait_for()
    assert at.clicks == promised("new prices for some, or take them off sale")


def test_a_file_of_prices_is_imported_and_listed(at_work: AtWork, tmp_path: Path) -> None:
    file = tmp_path / "counted.csv"
    file.write_text("id,price\n2,4321\n")
    at = Counted(at_work("merchandiser"))
    the_list(at, "/admin/products/product/")
    at.press("Import")
    at.page.locator("#content form input[type=file]").set_input_files(file)
    at.press("Read the file")
    at.page.locator("#id_reason").fill("Counted clicks")
    if at.page.locator("#id_confirmed").count():
        at.page.locator("#id_confirmed").check()
    at.press("Import 1 good row")
    at.page.get_by_text("1 row is imported.").wait_for()
    assert at.clicks == promised("new prices for many")
    at.desk.open("/admin/")
    at.clicks = 0
    the_list(at, "/admin/products/product/")
    at.press("Import")
    at.press("Past imports")
    assert "counted.csv" in at.desk.text()
    assert at.clicks == promised("who imported what?")


def test_two_orders_are_refunded_at_once(at_work: AtWork, bought: int, stack: Stack) -> None:
    another = buy(stack)
    at = Counted(at_work("support"))
    the_list(at, "/admin/orders/order/")
    for number in (bought, another):
        at.click(at.page.locator(f"input.action-select[value='{number}']"))
    at.page.locator("select[name=action]").select_option("cancel_and_refund")
    at.clicks += 1
    at.press("Run")
    at.page.locator("#id_reason").fill("Counted clicks")
    at.click(at.page.locator("#content form button[type=submit]").first)
    at.page.get_by_text("Counted clicks").or_(at.page.get_by_text("2 orders")).first.wait_for()
    assert at.clicks == promised("refund many")


def test_a_webhook_is_subscribed(at_work: AtWork) -> None:
    at = Counted(at_work("operator"))
    at.click(at.page.locator("#nav-sidebar a[href='/admin/outbox/webhooksubscription/']").first)
    at.click(at.page.locator("a[href$='/webhooksubscription/add/']").first)
    at.page.locator("#id_name").fill("Counted clicks")
    at.page.locator("#id_url").fill("https://partner.example/webhooks")
    at.click(at.page.locator("input[name=event_types]").first)
    at.click(at.page.locator("button[name=_save], input[name=_save]").first)
    at.page.get_by_text("whsec_").first.wait_for()
    assert at.clicks == promised("send events to a third party")


PARK_ONE = """
    UPDATE outbox_message SET sent_at = NULL, parked_at = now()
    WHERE id = (SELECT min(id) FROM outbox_message WHERE subscription_id IS NOT NULL)
"""


def test_parked_webhook_messages_are_sent_again(at_work: AtWork, stack: Stack) -> None:
    with psycopg.connect(stack.run()["database_url"], autocommit=True) as database:
        database.execute(PARK_ONE)
    at = Counted(at_work("operator"))
    at.click(at.page.locator("#nav-sidebar a[href='/admin/outbox/webhooksubscription/']").first)
    at.click(at.page.get_by_role("link", name="Warehouse").first)
    at.press("Send parked again")
    at.page.locator("#id_reason").fill("Counted clicks")
    at.click(at.page.locator("#content form button[type=submit]").first)
    at.page.wait_for_url("**/webhooksubscription/*/change/**")
    assert at.clicks == promised("a third party did not get its events")


def test_a_coupon_is_duplicated(at_work: AtWork) -> None:
    at = Counted(at_work("merchandiser"))
    at.find("Nearly Gone")
    at.press("Duplicate")
    name = at.page.locator("#id_name")
    assert name.input_value().endswith("(copy)")
    # Another name, so that a search still finds the first coupon.
    name.fill("Counted clicks")
    at.click(at.page.locator("button[name=_save], input[name=_save]").first)
    at.page.get_by_text("was added successfully").wait_for()
    assert at.clicks == promised("the same coupon again")


def test_a_receipt_and_a_packing_slip_are_printed(at_work: AtWork, bought: int) -> None:
    for paper in ("Receipt", "Packing slip"):
        at = Counted(at_work("viewer"))
        at.page.add_init_script("window.print = () => { document.title = 'printed'; };")
        at.find(str(bought))
        at.press(paper)
        at.click(at.page.get_by_role("button", name="Print"))
        at.page.wait_for_function("document.title === 'printed'")
        assert f"#{bought}" in at.desk.text()
        assert at.clicks == promised("a receipt or a packing slip")


def test_statistics_are_compared(at_work: AtWork) -> None:
    at = Counted(at_work("operator"))
    the_list(at, "/admin/stats/productstat/")
    at.press("Compare with the orders")
    assert "compare=" in at.page.url
    assert at.clicks == promised("are the statistics right?")


@pytest.mark.parametrize("window", WINDOWS)
def test_the_pages_look_well(at_work: AtWork, window: str, bought: int) -> None:
    desk = at_work("admin", **WINDOWS[window])
    language = WINDOWS[window]["language"]
    for name, path in {
        "dashboard": "/admin/",
        "customer": "/admin/balances/user/1/change/",
        "order": f"/admin/orders/order/{bought}/change/",
        "sessions": "/admin/sessions/",
        "second-factor": "/admin/second-factor/",
        "note": "/admin/notes/orders.order/1/write/",
        "orders": "/admin/orders/order/?status__exact=COMPLETED&ordered_date_days=30&o=-8",
        "receipt": f"/admin/orders/order/{bought}/receipt/",
        "packing-slip": f"/admin/orders/order/{bought}/packing-slip/",
        "edit-prices": "/admin/products/product/edit/?ids=1,2,3,4",
        "past-imports": "/admin/products/product/import/past/",
        "coupon-copy": "/admin/coupons/coupon/add/?copy_of=1",
    }.items():
        desk.open(path)
        look_at(desk, f"desk-{name}-{window}", language=language)
        assert findings(desk.page) == [], path
    desk.open("/admin/")
    desk.search("customer7")
    desk.page.locator("#command-results-list a").first.wait_for()
    desk.page.wait_for_timeout(300)
    folder = Path(desk.screenshot(f"desk-search-{window}")).parent
    assert folder.is_dir()
    assert findings(desk.page) == []


def test_an_order_is_refunded(at_work: AtWork, bought: int) -> None:
    at = Counted(at_work("support"))
    at.find(str(bought))
    at.press("Cancel and refund")
    at.page.locator("#id_reason").fill("Counted clicks")
    at.click(at.page.locator("#content form button[type=submit]").first)
    at.desk.open(f"/admin/orders/order/{bought}/change/")
    assert "Counted clicks" in at.desk.text()
    assert at.clicks == promised("refund it")


def test_a_line_is_refunded(at_work: AtWork, bought: int) -> None:
    at = Counted(at_work("support"))
    at.desk.open(f"/admin/orders/order/{bought}/change/")
    at.press("Refund items")
    at.page.locator("#id_units_1").fill("1")
    at.page.locator("#id_reason").fill("Counted clicks")
    at.press("Continue")
    assert f"will be refunded to {CUSTOMER['username']}" in at.desk.text()
    at.press("Yes, refund")
    at.page.wait_for_url(f"**/admin/orders/order/{bought}/change/")
    assert "(1 refunded)" in at.desk.text()
    # With several items, one checkbox more has to be selected.
    assert at.clicks + 1 == promised("refund an item") <= 4


@pytest.mark.parametrize("window", WINDOWS)
def test_the_pages_of_a_refund_look_well(at_work: AtWork, window: str, bought: int) -> None:
    desk = at_work("admin", **WINDOWS[window])
    desk.open(f"/admin/orders/order/{bought}/refund/")
    look_at(desk, f"desk-refund-{window}", language=WINDOWS[window]["language"])
    assert findings(desk.page) == []
    desk.page.locator("#id_units_1").fill("1")
    desk.page.locator("#id_reason").fill("Looked at")
    desk.page.locator("#content form button[type=submit]").first.click()
    desk.page.wait_for_load_state()
    look_at(desk, f"desk-refund-question-{window}", language=WINDOWS[window]["language"])
    assert findings(desk.page) == []
    desk.page.locator("#content form button[type=submit]").first.click()
    desk.page.wait_for_url("**/change/")
    look_at(desk, f"desk-refund-done-{window}", language=WINDOWS[window]["language"])
    assert findings(desk.page) == []


def test_a_stock_is_corrected(at_work: AtWork) -> None:
    at = Counted(at_work("merchandiser"))
    at.find("Celadon")
    at.press("Adjust stock")
    at.page.locator("#id_delta").fill("3")
    at.page.locator("#id_reason").fill("Counted clicks")
    at.click(at.page.locator("#content form button[type=submit]").first)
    at.page.wait_for_url("**/change/")
    assert "Counted clicks" in at.desk.text()
    assert at.clicks == promised("correct a stock")


def test_a_list_is_exported(at_work: AtWork) -> None:
    at = Counted(at_work("finance"))
    at.click(at.page.locator("#nav-sidebar a[href='/admin/orders/order/']").first)
    with at.page.expect_download():
        at.press("CSV")
    assert at.clicks == promised("export a list")


def test_an_order_is_opened_by_its_number(at_work: AtWork, bought: int) -> None:
    at = Counted(at_work("viewer"))
    at.page.locator("#content input[name=q]").fill(str(bought))
    with at.page.expect_navigation():
        at.page.locator("#content input[name=q]").press("Enter")
    at.clicks += 1
    assert "What happened to this order?" in at.desk.text()
    assert at.clicks == promised("what happened to an order?") <= 2


def test_a_customer_is_read(at_work: AtWork) -> None:
    at = Counted(at_work("viewer"))
    at.find("customer1@example.com")
    assert "What happened with this customer?" in at.desk.text()
    assert at.clicks == promised("what happened with a customer?")


def test_an_issue_is_stopped(at_work: AtWork) -> None:
    at = Counted(at_work("merchandiser"))
    at.find("Nearly Gone")
    at.press("Stop now")
    at.page.locator("#id_reason").fill("Counted clicks")
    at.click(at.page.locator("#content form button[type=submit]").first)
    at.page.wait_for_url("**/change/")
    at.page.get_by_text("No more units are issued.").wait_for()
    assert at.clicks == promised("end a coupon's issue now")
