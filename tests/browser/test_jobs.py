"""Common tasks of staff in a real browser with a complete shop."""

import re
from pathlib import Path
from typing import Any

import requests

from tests.browser.conftest import AtWork
from tests.browser.desk import Desk
from tests.embedded.processes import wait_for
from tests.embedded.stack import Stack


def received(stack: Stack, key: str) -> list[dict[str, Any]]:
    """The calls to the data platform with this key, including repeats."""
    events = stack.run()["data_platform_url"].replace("/orders", "/events")
    return [event for event in requests.get(events, timeout=10).json()["events"] if event["key"].startswith(key)]


def press(desk: Desk, name: str) -> None:
    """Click the button or link with this name, which may follow the name of an icon."""
    named = re.compile(rf"^(\w+\s+)?{name}$")
    page = desk.page.locator("#main")
    page.get_by_role("button", name=named).or_(page.get_by_role("link", name=named)).first.click()


def stock_of(desk: Desk, product_id: int) -> int:
    """The stock in the public API."""
    return int(requests.get(f"{desk.web}/api/products/{product_id}", timeout=10).json()["stock"])


def test_support_finds_an_order_in_two_steps_and_refunds_it(at_work: AtWork, bought: int) -> None:
    desk = at_work("support")
    search = desk.page.locator("#content input[name=q]")
    search.fill(str(bought))
    search.press("Enter")
    desk.page.wait_for_url(f"**/admin/orders/order/{bought}/change/")
    assert "customer7" in desk.text()

    press(desk, "Cancel and refund")
    desk.page.wait_for_load_state()
    assert "This cannot be undone" in desk.text()
    desk.screenshot("job-refund-question")
    desk.page.locator("#id_reason").fill("Arrived broken")
    desk.page.locator("#content form button[type=submit]").click()
    desk.open(f"/admin/orders/order/{bought}/change/")
    desk.screenshot("job-refund-done")
    text = desk.text()
    assert "Cancelled" in text
    assert "Arrived broken" in text


def test_a_double_click_adjusts_the_stock_once(at_work: AtWork) -> None:
    desk = at_work("merchandiser")
    before = stock_of(desk, 3)
    desk.open("/admin/products/product/3/change/")
    press(desk, "Adjust stock")
    desk.page.locator("#id_delta").fill("-4")
    desk.page.locator("#id_reason").fill("Counted by hand")
    desk.page.locator("#content form button[type=submit]").dblclick()
    desk.page.wait_for_url("**/admin/products/product/3/change/")
    assert "Counted by hand" in desk.text()
    assert stock_of(desk, 3) == before - 4


def test_a_merchandiser_imports_a_file_with_a_bad_row(at_work: AtWork, tmp_path: Path) -> None:
    desk = at_work("merchandiser")
    file = tmp_path / "products.csv"
    lines = ("id,name,description,price,is_active,stock_change", ",Browser Tea,Green,4500,yes,7", ",Bad Tea,,-1,yes,1")
    file.write_text("\n".join(lines))
    desk.open("/admin/products/product/")
    press(desk, "Import")
    desk.page.locator("#content form input[type=file]").set_input_files(file)
    desk.page.locator("#content form button[type=submit]").click()
    desk.page.wait_for_url(re.compile(r"/import/\d+"))
    desk.screenshot("job-import-preview")
    assert "Browser Tea" in desk.text()
    assert "1 row with an error is skipped" in desk.text()
    assert "“-1” is not a price in whole won." in desk.text()
    desk.page.locator("#id_reason").fill("Spring list")
    press(desk, "Import 1 good row")
    desk.page.get_by_text("1 row is imported.").wait_for()
    found = requests.get(f"{desk.web}/api/products", params={"search": "Browser Tea"}, timeout=10).json()["results"]
    assert [(product["name"], product["price"], product["stock"]) for product in found] == [("Browser Tea", 4500, 7)]
    assert requests.get(f"{desk.web}/api/products", params={"search": "Bad Tea"}, timeout=10).json()["results"] == []


def test_an_operator_sends_a_delivery_again(at_work: AtWork, stack: Stack, bought: int) -> None:
    key = f"order-completed:{bought}:"
    wait_for(lambda: len(received(stack, key)) == 1)
    desk = at_work("operator")
    desk.open(f"/admin/outbox/outboxmessage/?q={key.rstrip(':')}&destination=data-platform")
    desk.page.locator("#result_list tbody a[href*='/change/']").first.click()
    desk.page.wait_for_load_state()
    press(desk, "Send again")
    desk.page.locator("#id_reason").fill("The partner lost it.")
    press(desk, "Send again")
    desk.page.get_by_text("1 message is queued.").wait_for()
    wait_for(lambda: len(received(stack, key)) == 2)


def test_finance_credits_a_wallet_with_a_reason(at_work: AtWork) -> None:
    desk = at_work("finance")
    desk.open("/admin/balances/user/8/change/")
    press(desk, "Adjust balance")
    desk.page.wait_for_load_state()
    desk.page.get_by_label("Credit: the customer gets").check()
    desk.page.locator("#id_amount_won").fill("1500")
    desk.page.locator("#id_reason").fill("Late delivery")
    desk.page.locator("#content form button[type=submit]").click()
    press(desk, "Yes, credit")
    desk.page.wait_for_url("**/admin/balances/user/8/change/")
    desk.screenshot("job-adjust-balance")
    text = desk.text()
    assert "Late delivery" in text
    assert "+₩1,500" in text


def test_a_list_is_exported_as_filtered(at_work: AtWork) -> None:
    desk = at_work("finance")
    desk.open("/admin/orders/order/?status__exact=CANCELLED")
    with desk.page.expect_download() as download:
        press(desk, "CSV")
    text = download.value.path().read_text(encoding="utf-8-sig")
    assert len(text.splitlines()) > 1
    assert "Completed" not in text


def test_the_language_and_the_logout(at_work: AtWork) -> None:
    desk = at_work("viewer")
    assert "Dashboard" in desk.text()
    # Both are in the menu of the account, which is below the main menu.
    account = desk.page.locator("#nav-sidebar").get_by_text("viewer", exact=True).first
    account.click()
    desk.page.get_by_role("button", name=re.compile("한국어")).first.click()
    desk.page.wait_for_function("document.documentElement.lang === 'ko'")
    assert "대시보드" in desk.text()
    account.click()
    desk.page.locator("#logout-form button").first.click()
    desk.page.wait_for_load_state()
    desk.open("/admin/orders/order/")
    assert "/admin/login/" in desk.page.url
