"""The catalogue and its stock in the back-office."""

from collections.abc import Mapping
from functools import partial
from typing import Any

import pytest
from django.urls import reverse

from commerce.audit.models import StaffAction
from products.models import MovementReason, Product, StockMovement
from products.selectors import PRODUCT_LIST
from tests.back_office.staff import Page, Staff, errors_of, messages_on
from tests.books import broken_rules
from tests.factories import OPTIONAL_JSON, ProductFactory, UserFactory, order_of
from tests.shop_state import nothing_changes, statements
from tests.shopper import Shopper
from tests.together import together
from tests.web_forms import fields_of

pytestmark = pytest.mark.django_db(transaction=True)

CLERK = (
    "products.view_product",
    "products.change_product",
    "products.add_product",
    "products.adjust_stock",
    "products.view_stockmovement",
)
ADD, CHANGE, ADJUST = "products_product_add", "products_product_change", "products_product_adjust_stock"
LIST = "products_product_changelist"


@pytest.fixture
def pen() -> Product:
    return ProductFactory(name="Pen", price=3_000, stock=10)


@pytest.fixture
def clerk() -> Staff:
    return Staff(*CLERK)


def form_of(clerk: Staff, page: str, *args: object) -> dict[str, Any]:
    """The form values of the page without changes."""
    return dict(fields_of(clerk.get(page, *args).content.decode()))


def adjust(clerk: Staff, product: Product, form: Mapping[str, Any], **values: Any) -> Page:
    return clerk.post(ADJUST, product.pk, **{**form, **values})


def stock(product: Product) -> int:
    product.refresh_from_db()
    return product.stock


class TestTheList:
    def names(self, clerk: Staff, **query: str) -> list[str]:
        return [product.name for product in clerk.get(LIST, **query).context["cl"].result_list]

    @pytest.fixture
    def shelf(self) -> None:
        for name, units, is_active in (
            ("Lamp", 0, True), ("Pen", 1, True), ("Ink", 10, False), ("Desk", 11, True),
        ):  # fmt: skip
            ProductFactory(name=name, stock=units, is_active=is_active)

    @pytest.mark.parametrize(
        ("query", "found"),
        [
            ({}, ["Lamp", "Pen", "Ink", "Desk"]),
            ({"level": "out"}, ["Lamp"]),
            ({"level": "low"}, ["Pen", "Ink"]),
            ({"level": "ok"}, ["Desk"]),
            ({"level": "low", "is_active__exact": "1"}, ["Pen"]),
            ({"is_active__exact": "0"}, ["Ink"]),
            ({"q": "en"}, ["Pen"]),
        ],
    )
    @pytest.mark.usefixtures("shelf")
    def test_is_filtered(self, clerk: Staff, query: dict[str, str], found: list[str]) -> None:
        assert self.names(clerk, **query) == found

    def test_finds_a_product_by_its_number(self, clerk: Staff, pen: Product) -> None:
        ProductFactory(name="Lamp")
        assert self.names(clerk, q=str(pen.pk)) == ["Pen"]

    @pytest.mark.parametrize(("units", "colour"), [(0, "red"), (1, "orange"), (10, "orange"), (11, "green")])
    def test_colours_the_stock(self, clerk: Staff, units: int, colour: str) -> None:
        ProductFactory(price=12_300, stock=units)
        page = clerk.get(LIST).content.decode()
        assert f"bg-{colour}-100" in page
        assert "₩12,300" in page

    def test_is_exported_with_the_permission(self, clerk: Staff, pen: Product) -> None:
        address = reverse("admin:products_product_export", args=["csv"])
        assert clerk.client.get(address).status_code == 403
        taking = Staff(*CLERK, "products.export_product")
        lines = taking.client.get(address, {"level": "low"}).content.decode("utf-8-sig").splitlines()
        assert lines[0] == (
            "id,name,description,price (won),for sale,purchase limit,stock,held for carts,created at,updated at"
        )
        assert [line.split(",")[:7] for line in lines[1:]] == [
            [str(pen.pk), "Pen", "Fit for a test.", "3000", "True", "", "10"]
        ]


class TestItsPage:
    def test_a_changed_price_is_in_the_public_list_at_once(self, clerk: Staff, pen: Product) -> None:
        shopper = Shopper()
        assert shopper.get("/api/products").json["results"][0]["price"] == 3_000
        form = form_of(clerk, CHANGE, pen.pk)
        answer = clerk.post(
            CHANGE, pen.pk, **{**form, "description": "Blue.", "price": 3_500, "stock": 99, "purchase_limit": 2}
        )
        assert answer.status_code == 302
        shown = {"id": pen.pk, "name": "Pen", "description": "Blue.", "price": 3_500, "stock": 10}
        shown = {**shown, **OPTIONAL_JSON, "purchaseLimit": 2}
        assert shopper.get("/api/products").json["results"] == [shown]
        assert shopper.get(f"/api/products/{pen.pk}").json == shown

    def test_an_edit_opened_before_a_sale_keeps_the_sale(self, clerk: Staff, pen: Product) -> None:
        form = form_of(clerk, CHANGE, pen.pk)
        order_of(UserFactory(balance=10_000), {pen: 2})
        clerk.post(CHANGE, pen.pk, **{**form, "price": 3_500})
        pen.refresh_from_db()
        assert (pen.price, pen.stock) == (3_500, 8)

    def test_a_product_taken_off_sale_leaves_the_list(self, clerk: Staff, pen: Product) -> None:
        shopper = Shopper()
        assert shopper.get("/api/products").json["count"] == 1
        # An unchecked checkbox is not submitted.
        clerk.press(CHANGE, pen.pk, is_active=None)
        assert shopper.get("/api/products").json["count"] == 0

    def test_shows_who_changed_what(self, clerk: Staff, pen: Product) -> None:
        clerk.post(CHANGE, pen.pk, **{**form_of(clerk, CHANGE, pen.pk), "price": 3_500})
        [action] = clerk.get(CHANGE, pen.pk).context["actions"]
        assert (action.actor, action.in_words, action.changes) == (clerk.user, "Changed", [("price", 3_000, 3_500)])

    def test_shows_the_last_twenty_movements(self, clerk: Staff, pen: Product) -> None:
        for number in range(20):
            adjust(clerk, pen, form_of(clerk, ADJUST, pen.pk), delta=1, reason=f"Found {number}.")
        order = order_of(UserFactory(balance=10_000), {pen: 2})
        with statements() as ran:
            page = clerk.get(CHANGE, pen.pk)
        movements = [
            (movement.quantity, movement.actor_name, movement.note, movement.order_id)
            for movement, _colour in page.context["movements"]
        ]
        assert len(movements) == 20
        assert movements[:2] == [
            (-2, None, "", order.pk),
            (1, clerk.user.username, "Found 19.", None),
        ]
        assert movements[-1] == (1, clerk.user.username, "Found 1.", None)
        assert len(ran) <= 12

    def test_hides_movements_without_the_permission(self, pen: Product) -> None:
        onlooker = Staff("products.view_product")
        page = onlooker.get(CHANGE, pen.pk)
        assert "movements" not in page.context
        assert "Latest stock movements" not in page.content.decode()

    def test_links_to_the_products_statistics(self, pen: Product) -> None:
        admin_user = Staff(superuser=True)
        address = f"{reverse('admin:stats_productstat_changelist')}?product__id__exact={pen.pk}"
        assert address in admin_user.get(CHANGE, pen.pk).content.decode()
        assert admin_user.client.get(address).status_code == 200


class TestANewProduct:
    INK = {"name": "먹 / Ink", "description": "", "price": 7_000, "opening_stock": 25, "is_active": "on"}

    def test_has_its_opening_stock_with_a_movement(self, clerk: Staff) -> None:
        assert PRODUCT_LIST.page(variant="all", ttl_seconds=60, render=lambda: b"old").body == b"old"
        answer = clerk.post(ADD, **{**form_of(clerk, ADD), **self.INK})
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
        assert PRODUCT_LIST.page(variant="all", ttl_seconds=60, render=lambda: b"new").body == b"new"
        assert broken_rules() == set()

    def test_is_created_once_by_a_form_sent_repeatedly(self, clerk: Staff) -> None:
        form = {**form_of(clerk, ADD), **self.INK}
        first = clerk.post(ADD, **form)
        with nothing_changes():
            assert clerk.post(ADD, **form).headers["Location"] == first.headers["Location"]
        assert Product.objects.count() == 1
        assert StaffAction.objects.count() == 1

    def test_is_created_once_by_a_double_click(self, clerk: Staff) -> None:
        form = {**form_of(clerk, ADD), **self.INK}
        answers = together([partial(clerk.post, ADD, **form) for _ in range(3)])
        assert [answer.status_code for answer in answers] == [302] * 3
        assert (Product.objects.count(), StockMovement.objects.count()) == (1, 1)

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
    def test_invalid_values_are_reported_at_their_field(
        self, clerk: Staff, values: dict[str, object], field: str
    ) -> None:
        form = form_of(clerk, ADD)
        with nothing_changes():
            answer = clerk.post(ADD, **{**form, "name": "Ink", "price": 1, "opening_stock": 1, **values})
        assert list(errors_of(answer)) == [field]


class TestTheStock:
    def test_is_adjusted_with_a_reason(self, clerk: Staff, pen: Product) -> None:
        answer = adjust(clerk, pen, form_of(clerk, ADJUST, pen.pk), delta=-3, reason="Broken in transit.")
        assert answer.headers["Location"] == reverse("admin:products_product_change", args=[pen.pk])
        assert messages_on(answer) == ["The stock of Pen is 7 now (-3)."]
        assert stock(pen) == 7
        movement = StockMovement.objects.latest("id")
        assert (movement.reason, movement.quantity, movement.actor_id, movement.note) == (
            MovementReason.ADJUSTMENT,
            -3,
            clerk.user.pk,
            "Broken in transit.",
        )
        action = StaffAction.objects.get()
        assert (action.action, action.before, action.after, action.reason) == (
            "Stock adjusted",
            {"stock": 10},
            {"stock": 7},
            "Broken in transit.",
        )
        assert "Broken in transit." in clerk.get("products_product_history", pen.pk).content.decode()

    def test_is_adjusted_once_by_a_reload(self, clerk: Staff, pen: Product) -> None:
        form = {**form_of(clerk, ADJUST, pen.pk), "delta": -3, "reason": "Broken."}
        clerk.post(ADJUST, pen.pk, **form)
        with nothing_changes():
            message = messages_on(clerk.post(ADJUST, pen.pk, **form))[-1]
        assert message == "Already done, and not repeated. The stock of Pen is 7 now (-3)."
        assert StaffAction.objects.count() == 1

    def test_is_adjusted_once_by_a_double_click(self, clerk: Staff, pen: Product) -> None:
        form = {**form_of(clerk, ADJUST, pen.pk), "delta": -3, "reason": "Broken."}
        answers = together([partial(clerk.post, ADJUST, pen.pk, **form) for _ in range(4)])
        assert [answer.status_code for answer in answers] == [302] * 4
        assert stock(pen) == 7

    def test_is_adjusted_twice_by_two_pages(self, clerk: Staff, pen: Product) -> None:
        """The control: two pages have different keys."""
        forms = [{**form_of(clerk, ADJUST, pen.pk), "delta": -3, "reason": "Broken."} for _ in range(2)]
        for form in forms:
            clerk.post(ADJUST, pen.pk, **form)
        assert stock(pen) == 4

    def test_other_values_with_the_same_key_are_refused(self, clerk: Staff, pen: Product) -> None:
        form = {**form_of(clerk, ADJUST, pen.pk), "delta": -3, "reason": "Broken."}
        clerk.post(ADJUST, pen.pk, **form)
        with nothing_changes():
            answer = clerk.post(ADJUST, pen.pk, **{**form, "delta": -4})
        assert list(errors_of(answer)) == ["__all__"]

    def test_is_not_adjusted_below_zero(self, clerk: Staff, pen: Product) -> None:
        form = form_of(clerk, ADJUST, pen.pk)
        with nothing_changes():
            answer = adjust(clerk, pen, form, delta=-11, reason="Stolen.")
        assert errors_of(answer) == {"delta": ["The stock is only 10."]}
        assert StaffAction.objects.count() == 0

    @pytest.mark.parametrize(
        ("values", "field"),
        [
            ({"delta": 0}, "delta"),
            ({"delta": ""}, "delta"),
            ({"delta": "1.5"}, "delta"),
            ({"delta": 1_000_001}, "delta"),
            ({"delta": -1_000_001}, "delta"),
            ({"reason": ""}, "reason"),
            ({"reason": " "}, "reason"),
            ({"reason": "x" * 201}, "reason"),
            ({"form_key": ""}, "form_key"),
            ({"form_key": "1"}, "form_key"),
        ],
    )
    def test_needs_a_number_and_a_reason(
        self, clerk: Staff, pen: Product, values: dict[str, object], field: str
    ) -> None:
        form = form_of(clerk, ADJUST, pen.pk)
        with nothing_changes():
            answer = adjust(clerk, pen, form, **{"delta": 1, "reason": "Found.", **values})
        assert list(errors_of(answer)) == [field]

    def test_concurrent_adjustments_all_count(self, pen: Product) -> None:
        clerks = [Staff(*CLERK) for _ in range(4)]
        forms = [form_of(clerk, ADJUST, pen.pk) for clerk in clerks]
        answers = together(
            [
                partial(adjust, clerk, pen, form, delta=delta, reason="Counted.")
                for clerk, form, delta in zip(clerks, forms, (5, -2, 7, -1), strict=True)
            ]
        )
        assert [answer.status_code for answer in answers] == [302] * 4
        assert stock(pen) == 19
        assert broken_rules() == set()

    def test_of_an_unknown_product_is_not_found(self, clerk: Staff) -> None:
        assert clerk.get(ADJUST, 999_999_999).status_code == 404


class TestRights:
    @pytest.mark.parametrize("right", ["products.view_product", "products.change_product"])
    def test_without_the_permission_adjusting_is_refused(self, pen: Product, right: str) -> None:
        other = Staff(right)
        assert "adjust-stock" not in other.get(CHANGE, pen.pk).content.decode()
        with nothing_changes():
            assert other.get(ADJUST, pen.pk).status_code == 403
            assert other.post(ADJUST, pen.pk, delta=1, reason="Mine.").status_code == 403

    def test_viewers_may_not_change_anything(self, pen: Product) -> None:
        onlooker = Staff("products.view_product")
        with nothing_changes():
            assert onlooker.post(CHANGE, pen.pk, name="Mine", description="", price=1).status_code == 403
            assert onlooker.post(ADD, name="Mine", description="", price=1).status_code == 403

    def test_the_adjust_permission_is_enough(self, pen: Product) -> None:
        counter = Staff("products.view_product", "products.adjust_stock")
        assert adjust(counter, pen, form_of(counter, ADJUST, pen.pk), delta=1, reason="Found.").status_code == 302
        assert stock(pen) == 11

    def test_a_request_without_a_csrf_token_is_refused(self, clerk: Staff, pen: Product) -> None:
        forms = [form_of(clerk, page, pen.pk) for page in (ADJUST, CHANGE)]
        for form in forms:
            form.pop("csrfmiddlewaretoken", None)
        clerk.client.handler.enforce_csrf_checks = True
        with nothing_changes():
            assert adjust(clerk, pen, forms[0], delta=1, reason="Forged.").status_code == 403
            assert clerk.post(CHANGE, pen.pk, **{**forms[1], "name": "Forged"}).status_code == 403
