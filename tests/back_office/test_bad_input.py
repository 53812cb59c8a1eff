"""Invalid URLs and forged forms of the back-office: refused or not found, without a crash or a change."""

import re
from typing import Any
from urllib.parse import quote
from uuid import uuid4

import pytest
from django.db import models
from django.urls import reverse

from commerce.outbox.models import OutboxMessage
from orders.models import Order
from stats.models import DeadLetter
from tests.back_office.staff import Staff
from tests.back_office.test_every_page import EDITABLE, HISTORY, page
from tests.books import broken_rules
from tests.factories import CouponFactory, ProductFactory
from tests.operations.busy_shop import busy_shop
from tests.shop_state import nothing_changes
from tests.webhooks.conftest import subscribe

pytestmark = pytest.mark.django_db(transaction=True)

TOO_LONG = "9" * 4_301
"""`int()` refuses numbers with so many digits."""
NO_IDS = [TOO_LONG, "0", "-1", str(2**63), "9" * 30, "9" * 500, "1.5", "1e3", "abc", "%00", "%0A", "_GG",
          "x" * 2_000, "é", "%ff", "..%2f", "NaN", "1 OR 1=1"]  # fmt: skip
QUERIES = ["p=-1", "p=99999999999999999999", "p=abc", "o=99", "o=-1.5.x", "e=1", "q=%00", "id__exact=abc",
           f"id__exact={'9' * 30}", "password__startswith=a", "user__password__startswith=a", "created_at__gte=abc",
           "_to_field=password", "_popup=1&_to_field=xx", "status__exact=%00", "created_at__year=99999999",
           "created_at__year=0", "created_at__year=abc", "created_at__month=99", "window=zzz", "id__in=1,abc",
           "is_active__exact=7", f"q={TOO_LONG}", f"q=%23{TOO_LONG}", f"q=customer:{TOO_LONG}", f"p={TOO_LONG}",
           f"o={TOO_LONG}", f"id__exact={TOO_LONG}", f"user__id__exact={TOO_LONG}", f"product={TOO_LONG}",
           f"product__id__exact={TOO_LONG}", f"coupon__id__exact={TOO_LONG}", f"amount_from={TOO_LONG}",
           f"paid_amount_from={TOO_LONG}", f"days={TOO_LONG}", f"from_date={TOO_LONG}", f"created_at_from={TOO_LONG}",
           f"actor={TOO_LONG}", f"http_status={TOO_LONG}", f"created_at__year={TOO_LONG}", "created_at__gte=0001-01-01",
           "created_at__lte=9999-12-31T23:59:59", "issued_at_from=0001-01-01", "created_at_from=0001-01-01",
           "created_at_to=9999-12-31", "ordered_date_from=0001-01-01", "ordered_date_to=9999-12-31",
           "from_date=0001-01-01&to_date=0001-01-02", "from_date=9999-12-30&to_date=9999-12-31"]  # fmt: skip
NO_NUMBERS = ["-1", "1.5", "1e400", "NaN", "Infinity", str(2**31), str(2**63), "9" * 30, "abc", "\x00", "1_0", "0x10",
              TOO_LONG]  # fmt: skip


@pytest.fixture
def admin_user() -> Staff:
    return Staff(superuser=True)


def list_of(model: type[models.Model]) -> str:
    return reverse(f"admin:{page(model, 'changelist')}")


def test_an_impossible_id_is_not_found(admin_user: Staff) -> None:
    busy_shop()
    with nothing_changes():
        for model in (*HISTORY, *EDITABLE):
            for made_up in NO_IDS:
                address = f"{list_of(model)}{quote(made_up, safe='%')}/"
                assert admin_user.client.get(f"{address}change/").status_code in (302, 400, 404), address
                assert admin_user.client.get(f"{address}history/").status_code in (302, 400, 404), address
                assert admin_user.client.post(f"{address}delete/").status_code in (302, 400, 403, 404), address
            # A page that shows the messages: each redirect adds one, and all are sent with every request.
            assert admin_user.get("password_change_done").status_code == 200


def test_a_list_with_invalid_parameters_reports_them(admin_user: Staff) -> None:
    busy_shop()
    for model in (*HISTORY, *EDITABLE):
        for query in QUERIES:
            answer = admin_user.client.get(f"{list_of(model)}?{query}")
            assert answer.status_code in (200, 302, 400), (model, query)


def test_too_large_numbers_break_no_other_page(admin_user: Staff) -> None:
    busy_shop()
    index = reverse("admin:index")
    # For a number that the URL cannot contain, Django's page redirects.
    for address, allowed in {
        f"autocomplete/?app_label=orders&model_name=order&field_name=user&term={TOO_LONG}": (200, 400),
        f"autocomplete/?app_label=orders&model_name=orderitem&field_name=product&term={TOO_LONG}": (200, 400),
        f"autocomplete/?app_label=coupons&model_name=usercoupon&field_name=coupon&term={TOO_LONG}": (200, 400),
        f"autocomplete/?app_label=orders&model_name=order&field_name=user&page={TOO_LONG}": (200, 404),
        f"search/?s={TOO_LONG}": (200,),
        f"orders/order/cancel/?ids={TOO_LONG}": (400, 404),
        f"products/product/import/{TOO_LONG}/": (302,),
        f"coupons/coupon/{TOO_LONG}/stop/": (302,),
        f"balances/user/{TOO_LONG}/adjust-balance/": (302,),
        f"r/1/{TOO_LONG}/": (302, 404),
    }.items():
        assert admin_user.client.get(f"{index}{address}").status_code in allowed, address
    for model in (*HISTORY, *EDITABLE):
        exported = admin_user.client.get(f"{list_of(model)}export.csv?q={TOO_LONG}")
        assert exported.status_code in (200, 302, 400, 403, 404), model


ACTIONS: dict[type[models.Model], str] = {Order: "cancel_and_refund", OutboxMessage: "send_again", DeadLetter: "replay"}
BOXES: list[list[str]] = [
    [],
    ["0"],
    ["-1"],
    ["abc"],
    ["1.5"],
    ["9" * 30],
    [str(2**63)],
    ["\x00"],
    ["", "abc"],
    [TOO_LONG],
]


@pytest.mark.parametrize("model", ACTIONS)
def test_a_forged_action_does_nothing(admin_user: Staff, model: type[models.Model]) -> None:
    busy_shop()
    with nothing_changes():
        for action in (ACTIONS[model], "delete_selected", "nothing", "__class__", "\x00"):
            for boxes in BOXES:
                form: dict[str, Any] = {"action": action, "_selected_action": boxes, "confirmed": "1", "index": "0"}
                answer = admin_user.client.post(list_of(model), form)
                assert answer.status_code in (200, 302, 400, 403), (action, boxes)


def form_of(admin_user: Staff, address: str) -> dict[str, Any]:
    """The form values of the page without changes."""
    sent: dict[str, Any] = {}
    form = admin_user.client.get(address).context["adminform"].form
    for bound in form:
        value = bound.value()
        widget = bound.field.widget
        if hasattr(widget, "widgets"):
            sent |= {f"{bound.name}_{number}": part or "" for number, part in enumerate(widget.decompress(value))}
        elif value not in (None, False):
            sent[bound.name] = value
    return sent


@pytest.mark.parametrize("model", EDITABLE)
def test_an_invalid_number_is_reported_or_refused(admin_user: Staff, model: type[models.Model]) -> None:
    ProductFactory()
    CouponFactory()
    subscribe("https://partner.example/webhooks")
    row = model._default_manager.first()
    assert row is not None
    address = reverse(f"admin:{page(model, 'change')}", args=[row.pk])
    good = form_of(admin_user, address)
    fields = good.keys() - {"name", "description", "username", "first_name", "last_name", "email"}
    for field in fields:
        # Separately, so that the form validates all other values.
        assert admin_user.client.post(address, {**good, field: "abc"}).status_code in (200, 302), field
    for number in NO_NUMBERS:
        answer = admin_user.client.post(address, {**good, **dict.fromkeys(fields, number)})
        assert answer.status_code in (200, 302, 400), number
        refused = answer.context["adminform"].form.errors.keys() if answer.status_code == 200 else set()
        for field in fields:
            if re.sub(r"_[01]$", "", field) not in refused:
                alone = admin_user.client.post(address, {**good, field: number})
                assert alone.status_code in (200, 302, 400), (field, number)
    assert broken_rules() == set()


@pytest.mark.parametrize("field", ["groups", "user_permissions"])
@pytest.mark.parametrize("number", [*NO_NUMBERS, "0"])
def test_an_unknown_permission_is_refused(admin_user: Staff, field: str, number: str) -> None:
    address = reverse("admin:balances_user_change", args=[admin_user.user.pk])
    good = form_of(admin_user, address)
    with nothing_changes():
        answer = admin_user.client.post(address, {**good, field: number})
    assert answer.status_code in (200, 400)


@pytest.mark.parametrize("number", [number for number in NO_NUMBERS if number not in ("-1", "1_0")])
def test_an_invalid_stock_adjustment_is_refused(admin_user: Staff, number: str) -> None:
    product = ProductFactory(stock=10)
    address = reverse("admin:products_product_changelist") + f"{product.pk}/adjust-stock/"
    with nothing_changes():
        answer = admin_user.client.post(address, {"delta": number, "reason": "by hand", "form_key": uuid4()})
    assert answer.status_code in (200, 400)


@pytest.mark.parametrize("product", ["0", str(2**63), "9" * 30, "9" * 400])
def test_adjusting_an_unknown_product_is_not_found(admin_user: Staff, product: str) -> None:
    address = reverse("admin:products_product_changelist") + f"{product}/adjust-stock/"
    assert admin_user.client.get(address).status_code == 404
    assert admin_user.client.post(address, {"delta": "1", "reason": "x", "form_key": uuid4()}).status_code == 404
