"""Composed (NFC) and decomposed (NFD) Hangul are the same text, at every entry point."""

from collections.abc import Callable
from unicodedata import normalize

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection
from django.test import Client
from django.urls import reverse
from pytest_django import Settings

from balances.models import User
from commerce.core.stored_text import normalize_stored
from coupons.models import Coupon
from products.models import ImportLine, Product, ProductImport
from tests.back_office.staff import Staff
from tests.factories import CouponFactory, ProductFactory, StaffFactory, UserFactory
from tests.shopper import Shopper

pytestmark = pytest.mark.django_db(transaction=True)

NAME = "제주 감귤"
PASSWORD = "비밀번호 열하나"
TOKEN = "/api/auth/token"


def composed(text: str) -> str:
    return normalize("NFC", text)


def decomposed(text: str) -> str:
    return normalize("NFD", text)


Spelling = Callable[[str], str]
SPELLINGS = pytest.mark.parametrize("spelled", [composed, decomposed], ids=["composed", "decomposed"])


@SPELLINGS
def test_the_api_finds_a_product(stranger: Shopper, spelled: Spelling) -> None:
    ProductFactory(name=NAME)
    assert [row["name"] for row in stranger.get("/api/products", search=spelled("감귤")).json["results"]] == [NAME]


@SPELLINGS
def test_the_back_office_finds_a_product(spelled: Spelling) -> None:
    product = ProductFactory(name=NAME)
    page = Staff("products.view_product").get("products_product_changelist", q=spelled("감귤"))
    assert list(page.context["cl"].queryset) == [product]


def test_a_product_is_stored_composed() -> None:
    clerk = Staff("products.view_product", "products.add_product", "products.change_product")
    clerk.press(
        "products_product_add", name=decomposed(NAME), description=decomposed("달다"), price="1", opening_stock="0"
    )
    product = Product.objects.get()
    assert (product.name, product.description) == (NAME, "달다")


def test_a_coupon_is_found_and_stored_composed() -> None:
    coupon = CouponFactory(name=NAME)
    clerk = Staff("coupons.view_coupon", "coupons.change_coupon")
    page = clerk.get("coupons_coupon_changelist", q=decomposed("감귤"))
    assert list(page.context["cl"].queryset) == [coupon]
    clerk.press("coupons_coupon_change", coupon.pk, name=decomposed("한라봉"))
    coupon.refresh_from_db()
    assert coupon.name == "한라봉"


def test_a_file_is_read_composed() -> None:
    product = ProductFactory(name="펜", price=1_000)
    clerk = Staff("products.view_product", "products.import_product", "products.change_product")
    rows = decomposed(f"번호,이름,판매 여부\n{product.pk},{NAME},아니오\n").encode()
    answer = clerk.post("products_product_import", file=SimpleUploadedFile(decomposed("봄.csv"), rows))
    assert answer.status_code == 302
    line = ImportLine.objects.get()
    assert (line.plan, line.values) == ("CHANGE", {"name": NAME, "is_active": False})
    assert ProductImport.objects.get().file_name == "봄.csv"


@SPELLINGS
def test_the_api_logs_in(stranger: Shopper, spelled: Spelling) -> None:
    UserFactory(username="지민", password=PASSWORD)
    assert stranger.post(TOKEN, {"username": spelled("지민"), "password": spelled(PASSWORD)}).status == 200


def test_a_fullwidth_user_name_is_the_same_at_both_doors(stranger: Shopper) -> None:
    StaffFactory(username="clerk", password=PASSWORD)
    assert stranger.post(TOKEN, {"username": "ｃｌｅｒｋ", "password": PASSWORD}).status == 200
    form = {"username": "ｃｌｅｒｋ", "password": PASSWORD}
    assert Client().post(reverse("admin:login"), form).status_code == 302


@SPELLINGS
def test_the_back_office_logs_in(spelled: Spelling) -> None:
    StaffFactory(username="지민", password=PASSWORD)
    form = {"username": spelled("지민"), "password": spelled(PASSWORD)}
    assert Client().post(reverse("admin:login"), form).status_code == 302


@SPELLINGS
def test_a_password_hashed_in_decomposed_form_is_rehashed(stranger: Shopper, spelled: Spelling) -> None:
    user = UserFactory(username="jimin")
    # A password hash from before normalization.
    super(User, user).set_password(decomposed(PASSWORD))
    user.save()
    assert stranger.post(TOKEN, {"username": "jimin", "password": spelled(PASSWORD)}).status == 200
    user.refresh_from_db()
    assert user.check_password(composed(PASSWORD))


def test_all_spellings_of_a_name_share_one_login_limit(stranger: Shopper, settings: Settings) -> None:
    settings.LOGIN_FAILURES_PER_MINUTE = 2
    UserFactory(username="지민", password=PASSWORD)
    statuses = [
        stranger.post(TOKEN, {"username": name, "password": "wrong"}).status
        for name in ("지민", decomposed("지민"), "지민", decomposed("지민"))
    ]
    assert statuses == [401, 401, 429, 429]


def test_stored_text_is_normalized_by_a_migration(capsys: pytest.CaptureFixture[str]) -> None:
    product = ProductFactory(name=decomposed(NAME), description=decomposed("달다"))
    coupon = CouponFactory(name=decomposed(NAME))
    renamed = UserFactory(username=decomposed("지민"), last_name=decomposed("김"))
    taken, kept = UserFactory(username="수아"), UserFactory(username=decomposed("수아"))
    with connection.schema_editor(atomic=False) as editor:
        normalize_stored(editor, Product, name="NFC", description="NFC")
        normalize_stored(editor, Coupon, name="NFC")
        normalize_stored(editor, User, username="NFKC", last_name="NFC")
    for row in (product, coupon, renamed, taken, kept):
        row.refresh_from_db()
    assert (product.name, product.description, coupon.name) == (NAME, "달다", NAME)
    assert (renamed.username, renamed.last_name) == ("지민", "김")
    # A name whose normal form is taken is not changed, and its account is reported.
    assert (taken.username, kept.username) == ("수아", decomposed("수아"))
    assert capsys.readouterr().err == f"user {kept.pk}: username cannot be normalized (NFKC).\n"
