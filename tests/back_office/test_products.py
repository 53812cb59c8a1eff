"""The catalogue and the stock in the back-office."""

from functools import partial

import pytest
from django.urls import reverse

from commerce.invariants.check import invariants, violation_of
from products.models import MovementReason, Product, StockMovement
from products.selectors import PRODUCT_LIST
from tests.back_office.staff import Staff, errors_of, told_by
from tests.factories import ProductFactory, UserFactory, order_of
from tests.shop_state import nothing_changes
from tests.shopper import Shopper
from tests.together import together

pytestmark = pytest.mark.django_db(transaction=True)

CLERK = ("products.view_product", "products.change_product", "products.add_product")


@pytest.fixture
def pen() -> Product:
    return ProductFactory(name="Pen", price=3_000, stock=10)


@pytest.fixture
def clerk() -> Staff:
    return Staff(*CLERK)


def test_a_changed_price_shows_in_the_public_list_at_once(clerk: Staff, pen: Product) -> None:
    shopper = Shopper()
    assert shopper.get("/api/products").json["results"][0]["price"] == 3_000
    answer = clerk.post(
        "products_product_change", pen.pk, name="Pen", description="Blue.", price=3_500, is_active="on", stock=99
    )
    assert answer.status_code == 302
    assert shopper.get("/api/products").json["results"] == [
        {"id": pen.pk, "name": "Pen", "description": "Blue.", "price": 3_500, "stock": 10}
    ]


def test_an_edit_that_was_opened_before_a_sale_keeps_the_sale(clerk: Staff, pen: Product) -> None:
    assert clerk.get("products_product_change", pen.pk).status_code == 200
    order_of(UserFactory(balance=10_000), {pen: 2})
    clerk.post("products_product_change", pen.pk, name="Pen", description="", price=3_500, is_active="on")
    pen.refresh_from_db()
    assert (pen.price, pen.stock) == (3_500, 8)


def test_a_product_taken_off_sale_leaves_the_list(clerk: Staff, pen: Product) -> None:
    shopper = Shopper()
    assert shopper.get("/api/products").json["count"] == 1
    clerk.post("products_product_change", pen.pk, name="Pen", description="", price=3_000)
    assert shopper.get("/api/products").json["count"] == 0


def test_a_new_product_comes_with_its_opening_stock_and_the_movement_behind_it(clerk: Staff) -> None:
    assert PRODUCT_LIST.body(variant="all", ttl_seconds=60, render=lambda: b"old") == b"old"
    answer = clerk.post(
        "products_product_add", name="먹 / Ink", description="", price=7_000, opening_stock=25, is_active="on"
    )
    assert answer.status_code == 302
    ink = Product.objects.get()
    assert (ink.name, ink.price, ink.stock, ink.is_active) == ("먹 / Ink", 7_000, 25, True)
    movement = StockMovement.objects.get()
    assert (movement.product_id, movement.reason, movement.quantity, movement.actor_id) == (
        ink.pk,
        MovementReason.OPENING,
        25,
        clerk.user.pk,
    )
    assert PRODUCT_LIST.body(variant="all", ttl_seconds=60, render=lambda: b"new") == b"new"
    assert [violation_of(invariant) for invariant in invariants(quiet_system=True)] == [None] * 27


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({"price": -1}, "price"),
        ({"price": 2**63}, "price"),
        ({"price": "much"}, "price"),
        ({"name": ""}, "name"),
        ({"name": "x" * 201}, "name"),
        ({"opening_stock": -1}, "opening_stock"),
        ({"opening_stock": 2**31}, "opening_stock"),
    ],
)
def test_values_that_do_not_fit_are_said_at_their_field(clerk: Staff, values: dict[str, object], field: str) -> None:
    with nothing_changes():
        answer = clerk.post(
            "products_product_add", **{"name": "Ink", "description": "", "price": 1, "opening_stock": 1, **values}
        )
    assert list(errors_of(answer)) == [field]


def test_an_adjustment_moves_the_stock_and_leaves_its_reason(clerk: Staff, pen: Product) -> None:
    assert clerk.get("products_product_adjust_stock", pen.pk).status_code == 200
    answer = clerk.post("products_product_adjust_stock", pen.pk, delta=-3, note="Broken in transit.")
    assert answer.headers["Location"] == reverse("admin:products_product_change", args=[pen.pk])
    assert told_by(answer) == ["The stock is 7 now (-3)."]
    pen.refresh_from_db()
    assert pen.stock == 7
    movement = StockMovement.objects.latest("id")
    assert (movement.reason, movement.quantity, movement.actor_id, movement.note) == (
        MovementReason.ADJUSTMENT,
        -3,
        clerk.user.pk,
        "Broken in transit.",
    )
    history = clerk.get("products_product_history", pen.pk).content.decode()
    assert "-3 → 7: Broken in transit." in history


def test_more_than_is_there_cannot_be_taken_away(clerk: Staff, pen: Product) -> None:
    with nothing_changes():
        answer = clerk.post("products_product_adjust_stock", pen.pk, delta=-11, note="Stolen.")
    assert errors_of(answer) == {"delta": ["Only 10 are there."]}


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({"delta": 0}, "delta"),
        ({"delta": ""}, "delta"),
        ({"delta": "1.5"}, "delta"),
        ({"delta": 1_000_001}, "delta"),
        ({"delta": -1_000_001}, "delta"),
        ({"note": ""}, "note"),
        ({"note": "x" * 201}, "note"),
    ],
)
def test_an_adjustment_needs_a_number_and_a_reason(
    clerk: Staff, pen: Product, values: dict[str, object], field: str
) -> None:
    with nothing_changes():
        answer = clerk.post("products_product_adjust_stock", pen.pk, **{"delta": 1, "note": "Found.", **values})
    assert list(errors_of(answer)) == [field]


def test_two_adjustments_at_once_both_count(pen: Product) -> None:
    clerks = [Staff(*CLERK) for _ in range(4)]
    adjust = "products_product_adjust_stock"
    answers = together(
        [
            partial(clerk.post, adjust, pen.pk, delta=delta, note="Counted.")
            for clerk, delta in zip(clerks, (5, -2, 7, -1), strict=True)
        ]
    )
    assert [answer.status_code for answer in answers] == [302] * 4
    pen.refresh_from_db()
    assert pen.stock == 19
    assert [violation_of(invariant) for invariant in invariants(quiet_system=False)] == [None] * 25


def test_who_may_only_look_does_not_adjust(pen: Product) -> None:
    onlooker = Staff("products.view_product")
    assert "adjust-stock" not in onlooker.get("products_product_change", pen.pk).content.decode()
    with nothing_changes():
        assert onlooker.get("products_product_adjust_stock", pen.pk).status_code == 403
        assert onlooker.post("products_product_adjust_stock", pen.pk, delta=1, note="Mine.").status_code == 403
        answer = onlooker.post("products_product_change", pen.pk, name="Mine", description="", price=1)
        assert answer.status_code == 403


def test_a_product_that_is_not_there_has_no_stock_to_adjust(clerk: Staff) -> None:
    assert clerk.get("products_product_adjust_stock", 999_999_999).status_code == 404


def test_a_forged_request_without_the_token_of_the_page_is_refused(clerk: Staff, pen: Product) -> None:
    clerk.client.handler.enforce_csrf_checks = True
    with nothing_changes():
        assert clerk.post("products_product_adjust_stock", pen.pk, delta=1, note="Forged.").status_code == 403
        answer = clerk.post("products_product_change", pen.pk, name="Forged", description="", price=1)
        assert answer.status_code == 403
