"""Wording of pages: consistent terms, and counts with their unit."""

import re

import pytest
from django.test import Client

from tests.back_office.staff import Staff
from tests.factories import ProductFactory
from tests.operations.busy_shop import busy_shop

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def admin_user() -> Staff:
    return Staff(superuser=True)


def text_of(client: Client, path: str, language: str = "en") -> str:
    """The page without its tags."""
    page = client.get(path, headers={"Accept-Language": language}).content.decode()
    return re.sub(r"\s+", " ", re.sub(r"<(script|style).*?</\1>|<[^>]+>", " ", page, flags=re.DOTALL))


def test_logging_out_shows_one_message(admin_user: Staff) -> None:
    page = admin_user.client.post("/admin/logout/").content.decode()
    assert "You are logged out." in page
    assert "quality time" not in page


def test_the_menu_and_the_page_use_the_same_term(admin_user: Staff) -> None:
    text = text_of(admin_user.client, "/admin/balances/user/")
    assert "Customers" not in text
    assert text.count("Users") >= 2


@pytest.mark.parametrize(("language", "rows"), [("en", r"\d rows\b"), ("ko", r"\d건")])
def test_a_list_counts_its_rows(admin_user: Staff, language: str, rows: str) -> None:
    busy_shop()
    for path in ("balances/ledgerentry", "products/product", "audit/staffaction?actor=", "orders/order"):
        text = text_of(admin_user.client, f"/admin/{path.partition('?')[0]}/", language)
        assert re.search(rows, text) or re.search(r"\b1 row\b", text), path


def test_an_empty_list_offers_only_possible_actions(admin_user: Staff) -> None:
    nothing = text_of(admin_user.client, "/admin/orders/order/")
    assert "Nothing here yet" in nothing
    assert "Reset filters" not in nothing
    ProductFactory(name="Pen")
    found = text_of(admin_user.client, "/admin/orders/order/?status__exact=CANCELLED")
    assert "Nothing matches Search for something else, or reset the filters." in found
    assert "Create a new item" not in found
    korean = text_of(admin_user.client, "/admin/orders/order/?status__exact=CANCELLED", "ko")
    assert "조건에 맞는 항목 없음" in korean


def test_a_rise_from_zero_is_not_marked_as_a_success(admin_user: Staff) -> None:
    busy_shop()
    page = admin_user.get("index").content.decode()
    assert "none before" in page
    assert "nothing before" not in page
    assert not re.search(r"text-green[^>]*>[^<]*<[^>]*>▲</span> none before", page)
