"""Names that staff type: no invisible characters, in forms and in imports."""

from uuid import uuid4

import pytest
from django.contrib.auth.models import Group
from django.core.files.uploadedfile import SimpleUploadedFile
from django.urls import reverse

from products.models import ImportLine
from tests.back_office.staff import Staff, errors_of
from tests.back_office.test_coupons import form_of
from tests.factories import CouponFactory, ProductFactory, UserFactory
from tests.shop_state import nothing_changes

pytestmark = pytest.mark.django_db(transaction=True)

SENTENCE = "The character %s is invisible or changes the direction of the text. Remove it."
TEXTS = {"pen\u200b": "U+200B", "\u200b": "U+200B", "pen\u202egnp": "U+202E", "\u115f": "U+115F"}


@pytest.fixture
def clerk() -> Staff:
    return Staff(superuser=True)


@pytest.mark.parametrize("text", TEXTS, ids=ascii)
def test_a_name_with_invisible_characters_is_refused_in_every_form(clerk: Staff, text: str) -> None:
    product, coupon, user = ProductFactory(), CouponFactory(), UserFactory()
    group = Group.objects.create(name="Night shift")
    new_coupon = form_of(coupon, name=text, form_key=uuid4())
    with nothing_changes():
        answers = [
            (clerk.press("products_product_change", product.pk, name=text), "name"),
            (clerk.press("products_product_change", product.pk, description=text), "description"),
            (clerk.press("products_product_add", name=text, price=1), "name"),
            (clerk.press("coupons_coupon_change", coupon.pk, name=text), "name"),
            (clerk.post("coupons_coupon_add", **new_coupon), "name"),
            (clerk.press("balances_user_change", user.pk, username=text), "username"),
            (clerk.press("balances_user_change", user.pk, first_name=text), "first_name"),
            (clerk.press("balances_user_change", user.pk, last_name=text), "last_name"),
            (clerk.press("auth_group_change", group.pk, name=text), "name"),
            (clerk.press("products_product_adjust_stock", product.pk, delta=1, reason=text), "reason"),
        ]
        for answer, field in answers:
            assert SENTENCE % TEXTS[text] in errors_of(answer)[field]
    group.refresh_from_db()
    assert group.name == "Night shift"


@pytest.mark.parametrize("text", TEXTS, ids=ascii)
def test_an_import_refuses_a_name_with_invisible_characters(clerk: Staff, text: str) -> None:
    file = SimpleUploadedFile("products.csv", f"name,price,description\n{text},100,\nPen,100,{text}\n".encode())
    answer = clerk.client.post(reverse("admin:products_product_import"), {"file": file})
    assert answer.status_code == 302
    assert [line.message for line in ImportLine.objects.order_by("number")] == [SENTENCE % TEXTS[text]] * 2
