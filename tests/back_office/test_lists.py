"""All lists: limited counts, and "show all" only if rows are left out."""

import pytest

from commerce.staff_pages import paging
from products.models import Product
from tests.back_office.staff import Staff
from tests.factories import ProductFactory

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def clerk() -> Staff:
    ProductFactory.create_batch(3)
    return Staff("products.view_product")


def test_a_complete_list_does_not_offer_show_all(clerk: Staff) -> None:
    assert "Show all" not in clerk.get("products_product_changelist").content.decode()


def test_a_filtered_list_offers_show_all(clerk: Staff) -> None:
    name = Product.objects.first().name  # type: ignore[union-attr]  # there are three
    page = clerk.get("products_product_changelist", q=name).content.decode()
    assert "Show all" in page


def test_a_long_list_is_counted_up_to_a_limit(clerk: Staff, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(paging, "MOST_ROWS_COUNTED", 2)
    page = clerk.get("products_product_changelist")
    assert page.context["cl"].result_count == 2
    assert "more than 2 rows" in page.content.decode()
