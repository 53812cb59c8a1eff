"""Bulk editing of prices and availability: fields, preview, change, concurrency."""

import json
from collections.abc import Sequence
from functools import partial
from typing import Any
from unittest import mock

import pytest
from django.urls import reverse

from commerce.audit.models import StaffAction
from commerce.audit.record import Staff as By
from commerce.core.errors import ChangedMeanwhile
from commerce.idempotency.commit import Idempotency
from products import operations, services
from products.errors import ProductNotFound
from products.models import Product
from products.rules import HIGHEST_PRICE_WON, Offer, OfferChange, changed_by_percent
from products.selectors import PRODUCT_LIST
from tests.back_office.staff import Page, Staff, errors_of, messages_on
from tests.factories import ProductFactory, StaffFactory
from tests.shop_state import nothing_changes, statements
from tests.together import Meeting, together
from tests.web_forms import fields_of

pytestmark = pytest.mark.django_db(transaction=True)

RIGHTS = ("products.view_product", "products.change_product")
REASON = "Spring prices."


@pytest.fixture
def clerk() -> Staff:
    return Staff(*RIGHTS)


@pytest.fixture
def pen() -> Product:
    return ProductFactory(name="Pen", price=3_000)


@pytest.fixture
def ink() -> Product:
    return ProductFactory(name="Ink", price=7_000)


def page_for(*products: Product) -> str:
    return f"{reverse('admin:products_product_edit')}?ids={','.join(str(each.pk) for each in products)}"


def filled(staff: Staff, products: Sequence[Product], **typed: Any) -> Page:
    """The response to the first button: the preview, or the form with its errors."""
    address = page_for(*products)
    fields = {**fields_of(staff.client.get(address).content.decode()), **typed, "preview": "1"}
    return staff.client.post(address, {name: value for name, value in fields.items() if value is not None})


def saved(staff: Staff, preview: Page, **typed: Any) -> Page:
    """The response to the second button, that of the preview."""
    fields = {**fields_of(preview.content.decode()), "reason": REASON, **typed}
    return staff.client.post(preview.wsgi_request.get_full_path(), fields)


def changes_of(preview: Page) -> list[tuple[str, Offer, Offer]]:
    return [(change.product.name, change.seen, change.offer) for change in preview.context["changes"]]


def offers() -> dict[str, tuple[int, bool]]:
    return {each.name: (each.price, each.is_active) for each in Product.objects.all()}


class TestTheFields:
    def test_show_current_offers_and_change_nothing(self, clerk: Staff, pen: Product, ink: Product) -> None:
        with nothing_changes():
            form = fields_of(clerk.client.get(page_for(pen, ink)).content.decode())
        assert form[f"price_{pen.pk}"] == "3000"
        assert form[f"sale_{ink.pk}"] == "on"

    def test_are_linked_from_the_list_and_the_selection(self, clerk: Staff, pen: Product, ink: Product) -> None:
        page = clerk.get("products_product_changelist").content.decode()
        address = f"{reverse('admin:products_product_edit')}?ids={pen.pk}%2C{ink.pk}"
        assert f'href="{address}"' in page
        answer = clerk.post("products_product_changelist", action="edit_offers", _selected_action=[ink.pk])
        assert answer.headers["Location"] == f"{reverse('admin:products_product_edit')}?ids={ink.pk}"

    def test_require_the_change_permission(self, pen: Product) -> None:
        viewer = Staff("products.view_product")
        assert "product/edit/" not in viewer.get("products_product_changelist").content.decode()
        assert viewer.client.get(page_for(pen)).status_code == 403
        assert viewer.client.post(page_for(pen), {"save": "1"}).status_code == 403

    @pytest.mark.parametrize("ids", ["", "abc", "1,", "-1", "9" * 30, ",".join(map(str, range(101)))])
    def test_require_ids_of_products(self, clerk: Staff, ids: str) -> None:
        assert clerk.client.get(f"{reverse('admin:products_product_edit')}?ids={ids}").status_code == 400

    def test_require_existing_products(self, clerk: Staff, pen: Product) -> None:
        assert clerk.client.get(f"{reverse('admin:products_product_edit')}?ids={pen.pk + 1}").status_code == 404

    @pytest.mark.parametrize(
        ("typed", "field", "sentence"),
        [
            ({"price": "-1"}, "price", "Ensure this value is greater than or equal to 0."),
            ({"price": "abc"}, "price", "Enter a whole number."),
            ({"price": ""}, "price", "This field is required."),
            ({"all_prices": "percent"}, "number", "Enter an amount."),
            ({"number": "5"}, "all_prices", "Choose what the number means."),
            ({"all_prices": "percent", "number": "1001"}, "number", "At most 1,000 percent."),
            (
                {"all_prices": "percent", "number": "-101"},
                "number",
                "Ensure this value is greater than or equal to -100.",
            ),
            ({"all_prices": "won", "number": "-1"}, "number", "A price is not negative."),
            ({}, "__all__", "Nothing would change."),
        ],
    )
    def test_report_errors(self, clerk: Staff, pen: Product, typed: dict[str, str], field: str, sentence: str) -> None:
        names = {"price": f"price_{pen.pk}"}
        with nothing_changes():
            answer = filled(clerk, [pen], **{names.get(name, name): value for name, value in typed.items()})
        assert errors_of(answer)[names.get(field, field)] == [sentence]

    def test_refuse_a_percentage_that_makes_a_price_too_high(self, clerk: Staff) -> None:
        house = ProductFactory(price=HIGHEST_PRICE_WON)
        answer = filled(clerk, [house], all_prices="percent", number="1")
        assert errors_of(answer) == {f"price_{house.pk}": ["The price would be too high."]}


class TestThePreview:
    def test_shows_the_changes_without_making_them(self, clerk: Staff, pen: Product, ink: Product) -> None:
        cup = ProductFactory(name="Cup", price=5_000)
        with nothing_changes():
            preview = filled(clerk, [pen, ink, cup], **{f"price_{pen.pk}": "3500", f"sale_{ink.pk}": None})
        assert changes_of(preview) == [
            ("Pen", Offer(3_000, True), Offer(3_500, True)),
            ("Ink", Offer(7_000, True), Offer(7_000, False)),
        ]
        page = preview.content.decode()
        for sentence in ("₩3,000", "₩3,500", "Will not be for sale any more.", "Change 2 products"):
            assert sentence in page
        assert "Cup" not in page

    def test_applies_the_common_change_to_unedited_products(self, clerk: Staff, pen: Product, ink: Product) -> None:
        typed = {f"price_{pen.pk}": "2900", "all_prices": "percent", "number": "-10", "all_sales": "no"}
        assert changes_of(filled(clerk, [pen, ink], **typed)) == [
            ("Pen", Offer(3_000, True), Offer(2_900, False)),
            ("Ink", Offer(7_000, True), Offer(6_300, False)),
        ]
        preview = filled(clerk, [pen, ink], all_prices="won", number="4000")
        assert [offer.price for _name, _seen, offer in changes_of(preview)] == [4_000, 4_000]

    def test_leads_back_to_the_filled_fields(self, clerk: Staff, pen: Product, ink: Product) -> None:
        preview = filled(clerk, [pen, ink], **{f"price_{pen.pk}": "3500", f"sale_{ink.pk}": None})
        form = fields_of(saved(clerk, preview, again="1").content.decode())
        assert (form[f"price_{pen.pk}"], form[f"price_{ink.pk}"]) == ("3500", "7000")
        assert f"sale_{ink.pk}" not in form
        assert offers() == {"Pen": (3_000, True), "Ink": (7_000, True)}

    def test_takes_a_constant_number_of_queries(self, clerk: Staff) -> None:
        few, many = ProductFactory.create_batch(2), ProductFactory.create_batch(40)
        counts = []
        for products in (few, many):
            with statements() as ran:
                assert filled(clerk, products, all_sales="no").status_code == 200
            counts.append(len(ran))
        assert counts[0] == counts[1] <= 12


class TestTheChange:
    def test_changes_and_records_each_product(self, clerk: Staff, pen: Product, ink: Product) -> None:
        answer = saved(clerk, filled(clerk, [pen, ink], **{f"price_{pen.pk}": "3500", f"sale_{ink.pk}": None}))
        assert answer.headers["Location"] == reverse("admin:products_product_changelist")
        assert messages_on(answer) == ["2 products are changed."]
        assert offers() == {"Pen": (3_500, True), "Ink": (7_000, False)}
        assert [
            (action.actor_id, action.action, action.subject_id, action.before, action.after, action.reason)
            for action in StaffAction.objects.order_by("id")
        ] == [
            (clerk.user.pk, "Changed", str(pen.pk), {"price": 3_000}, {"price": 3_500}, REASON),
            (clerk.user.pk, "Changed", str(ink.pk), {"is_active": True}, {"is_active": False}, REASON),
        ]

    def test_requires_a_reason(self, clerk: Staff, pen: Product) -> None:
        preview = filled(clerk, [pen], all_prices="percent", number="10")
        with nothing_changes():
            assert errors_of(saved(clerk, preview, reason="")) == {"reason": ["This field is required."]}

    def test_requires_a_confirmation_of_unusual_prices(self, clerk: Staff, pen: Product, ink: Product) -> None:
        preview = filled(clerk, [pen, ink], **{f"price_{pen.pk}": "0", f"price_{ink.pk}": "7100"})
        assert [change.questions for change in preview.context["changes"]] == [
            ["It is for sale for ₩0.", "The price changes by more than half: from ₩3,000 to ₩0."],
            [],
        ]
        assert "1 row has an unusual price." in preview.content.decode()
        with nothing_changes():
            refused = saved(clerk, preview)
            assert errors_of(refused) == {"confirmed": ["This field is required."]}
        assert changes_of(refused) == changes_of(preview)
        assert saved(clerk, refused, confirmed="on").status_code == 302
        assert offers() == {"Pen": (0, True), "Ink": (7_100, True)}

    def test_is_made_once_by_a_form_sent_repeatedly(self, clerk: Staff, pen: Product) -> None:
        preview = filled(clerk, [pen], all_prices="percent", number="10")
        fields = {**fields_of(preview.content.decode()), "reason": REASON}
        answers = together([partial(clerk.client.post, page_for(pen), fields)] * 4)
        assert {answer.status_code for answer in answers} == {302}
        assert StaffAction.objects.count() == 1
        assert offers() == {"Pen": (3_300, True)}
        again = clerk.client.post(page_for(pen), fields)
        assert "Already done, and not repeated. 1 product is changed." in messages_on(again)

    def test_is_visible_to_customers_at_once(self, clerk: Staff, pen: Product) -> None:
        with mock.patch.object(PRODUCT_LIST, "renew") as renewed:
            assert saved(clerk, filled(clerk, [pen], all_sales="no")).status_code == 302
        renewed.assert_called_once_with()


class TestSomebodyElse:
    def test_a_save_before_the_preview_is_not_overwritten(self, clerk: Staff, pen: Product, ink: Product) -> None:
        opened = fields_of(clerk.client.get(page_for(pen, ink)).content.decode())
        Product.objects.filter(pk=ink.pk).update(price=9_000)
        with nothing_changes():
            answer = clerk.client.post(page_for(pen, ink), {**opened, "all_sales": "no", "preview": "1"})
        [sentence] = errors_of(answer)["__all__"]
        assert sentence == f"{ChangedMeanwhile()} Ink"

    def test_a_save_after_the_preview_is_not_overwritten(self, clerk: Staff, pen: Product, ink: Product) -> None:
        preview = filled(clerk, [pen, ink], all_prices="percent", number="10")
        Product.objects.filter(pk=ink.pk).update(is_active=False)
        with nothing_changes():
            answer = saved(clerk, preview)
        assert messages_on(answer) == [f"{ChangedMeanwhile()} Ink"]
        assert answer.headers["Location"] == page_for(pen, ink)

    def race(self, pen: Product, ink: Product) -> list[object]:
        """Two staff members edit the same products simultaneously, in opposite orders; returns both outcomes."""
        by = By(StaffFactory().pk, REASON)

        def change(price: int, products: Sequence[Product]) -> object:
            changes = [OfferChange(each.pk, Offer(each.price, True), Offer(price, True)) for each in products]
            try:
                return services.save_offers(changes, by=by, idempotency=Idempotency.none())
            except ChangedMeanwhile as refusal:
                return type(refusal)

        return together([partial(change, 1_000, [pen, ink]), partial(change, 2_000, [ink, pen])])

    def test_of_two_concurrent_changes_one_is_refused(self, pen: Product, ink: Product) -> None:
        outcomes = self.race(pen, ink)
        assert sorted(map(str, outcomes)) == sorted(map(str, [2, ChangedMeanwhile]))
        prices = set(Product.objects.values_list("price", flat=True))
        assert prices in ({1_000}, {2_000})
        assert StaffAction.objects.count() == 2

    def test_control_without_row_locks_one_is_overwritten(
        self, pen: Product, ink: Product, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        meeting = Meeting()

        def unlocked(product_ids: Sequence[int]) -> dict[int, Product]:
            rows = Product.objects.in_bulk(product_ids)
            meeting.attend()
            return rows

        monkeypatch.setattr(operations, "lock_products", unlocked)
        assert self.race(pen, ink) == [2, 2]
        assert StaffAction.objects.count() == 4

    def test_a_deleted_product_is_reported(self, pen: Product) -> None:
        changes = [
            OfferChange(pen.pk, Offer(3_000, True), Offer(2_000, True)),
            OfferChange(pen.pk + 1, Offer(1, True), Offer(2, True)),
        ]
        by = By(StaffFactory().pk, REASON)
        with nothing_changes(), pytest.raises(ProductNotFound):
            services.save_offers(changes, by=by, idempotency=Idempotency.none())


class TestAForgedForm:
    @pytest.mark.parametrize(
        "changes",
        [
            "",
            "x",
            "{}",
            "[]",
            "[1]",
            "[[1]]",
            "null",
            "[[true,1,true,2,true]]",
            '[["1",1,true,2,true]]',
            "9" * 5_000,
            "[" * 5_000,
        ],
    )
    @pytest.mark.parametrize("button", ["save", "again"])
    def test_is_refused(self, clerk: Staff, pen: Product, changes: str, button: str) -> None:
        with nothing_changes():
            answer = clerk.client.post(page_for(pen), {button: "1", "changes": changes, "reason": REASON})
        assert answer.status_code == 400

    @pytest.mark.parametrize("price", [-1, 1.5, HIGHEST_PRICE_WON + 1, 10**30, "7", None, True])
    def test_with_an_impossible_price_is_refused(self, clerk: Staff, pen: Product, price: object) -> None:
        changes = json.dumps([[pen.pk, 3_000, True, price, True]])
        with nothing_changes():
            answer = clerk.client.post(page_for(pen), {"save": "1", "changes": changes, "reason": REASON})
        assert answer.status_code == 400

    def test_with_another_product_is_refused(self, clerk: Staff, pen: Product, ink: Product) -> None:
        changes = json.dumps([[ink.pk, 7_000, True, 1, True]])
        with nothing_changes():
            answer = clerk.client.post(page_for(pen), {"save": "1", "changes": changes, "reason": REASON})
        assert answer.status_code == 400

    def test_with_a_product_twice_is_refused(self, clerk: Staff, pen: Product) -> None:
        changes = json.dumps([[pen.pk, 3_000, True, 1, True], [pen.pk, 3_000, True, 2, True]])
        with nothing_changes():
            answer = clerk.client.post(page_for(pen), {"save": "1", "changes": changes, "reason": REASON})
        assert answer.status_code == 400


@pytest.mark.parametrize(
    ("price", "percent", "after"),
    [
        (1_000, 10, 1_100),
        (999, 10, 1_099),
        (995, 10, 1_095),
        (5, 10, 6),
        (4, 10, 4),
        (1_000, -100, 0),
        (7_770, -33, 5_206),
    ],
)
def test_percent_are_rounded_to_the_nearest_won(price: int, percent: int, after: int) -> None:
    assert changed_by_percent(price, percent) == after
