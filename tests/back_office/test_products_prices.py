"""Confirmation of unusual prices, in the form of a product and before an import."""

from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.urls import reverse

from products.models import Product, ProductImport
from tests.back_office.staff import Staff, errors_of
from tests.factories import ProductFactory
from tests.shop_state import nothing_changes

pytestmark = pytest.mark.django_db(transaction=True)

AGAIN = "Save again to confirm."


@pytest.fixture
def clerk() -> Staff:
    return Staff(superuser=True)


@pytest.fixture
def pen() -> Product:
    return ProductFactory(name="Pen", price=10_000)


@pytest.mark.parametrize(
    ("values", "questions"),
    [
        ({"price": 4_999}, ["The price changes by more than half: from ₩10,000 to ₩4,999."]),
        ({"price": 15_001}, ["The price changes by more than half: from ₩10,000 to ₩15,001."]),
        (
            {"price": 0},
            ["It is for sale for ₩0.", "The price changes by more than half: from ₩10,000 to ₩0."],
        ),
        (
            {"price": 10_000_001},
            [
                "The price is very high: ₩10,000,001.",
                "The price changes by more than half: from ₩10,000 to ₩10,000,001.",
            ],
        ),
    ],
)
def test_an_unusual_price_requires_a_confirmation(
    clerk: Staff, pen: Product, values: dict[str, Any], questions: list[str]
) -> None:
    with nothing_changes():
        asked = clerk.press("products_product_change", pen.pk, **values)
        assert errors_of(asked)["__all__"] == [*questions, AGAIN]
    confirmed = asked.context["adminform"].form["confirmed"].value()
    # The submitted price differs from the confirmed one.
    other = clerk.press("products_product_change", pen.pk, price=1, confirmed=confirmed)
    assert errors_of(other)["__all__"] == ["The price changes by more than half: from ₩10,000 to ₩1.", AGAIN]
    assert clerk.press("products_product_change", pen.pk, **values, confirmed=confirmed).status_code == 302
    pen.refresh_from_db()
    assert pen.price == values["price"]


@pytest.mark.parametrize("price", [5_000, 15_000])
def test_half_the_price_requires_no_confirmation(clerk: Staff, pen: Product, price: int) -> None:
    assert clerk.press("products_product_change", pen.pk, price=price).status_code == 302


def test_an_unchanged_price_requires_no_confirmation(clerk: Staff) -> None:
    gift = ProductFactory(price=0)
    assert clerk.press("products_product_change", gift.pk, name="Gift").status_code == 302


def test_a_free_product_for_sale_needs_a_confirmation(clerk: Staff) -> None:
    gift = ProductFactory(price=0, is_active=False)
    asked = clerk.press("products_product_change", gift.pk, is_active="on")
    assert errors_of(asked)["__all__"] == ["It is for sale for ₩0.", AGAIN]
    new = clerk.press("products_product_add", name="Gift", price=0)
    assert errors_of(new)["__all__"] == ["It is for sale for ₩0.", AGAIN]
    assert Product.objects.count() == 1


def test_an_import_requires_a_confirmation_of_unusual_prices(clerk: Staff, pen: Product) -> None:
    lines = f"id,name,price\n{pen.pk},,100\n,Gift,0\n,Cup,5000\n"
    file = SimpleUploadedFile("products.csv", lines.encode())
    preview = clerk.client.post(reverse("admin:products_product_import"), {"file": file}).headers["Location"]
    page = clerk.client.get(preview)
    assert [shown.questions for shown in page.context["lines"]] == [
        ["The price changes by more than half: from ₩10,000 to ₩100."],
        ["It is for sale for ₩0."],
        [],
    ]
    assert "2 rows have unusual prices." in page.content.decode()
    with nothing_changes():
        refused = clerk.client.post(preview, {"reason": "New prices"})
    assert errors_of(refused) == {"confirmed": ["This field is required."]}
    assert clerk.client.post(preview, {"reason": "New prices", "confirmed": "on"}).status_code == 302
    assert sorted(Product.objects.values_list("price", flat=True)) == [0, 100, 5_000]
    assert ProductImport.objects.count() == 1


def test_an_import_of_usual_prices_requires_no_confirmation(clerk: Staff, pen: Product) -> None:
    file = SimpleUploadedFile("products.csv", f"id,price\n{pen.pk},9000\n".encode())
    preview = clerk.client.post(reverse("admin:products_product_import"), {"file": file}).headers["Location"]
    assert list(clerk.client.get(preview).context["form"].fields) == ["reason"]
    assert clerk.client.post(preview, {"reason": "New prices"}).status_code == 302
    pen.refresh_from_db()
    assert pen.price == 9_000
