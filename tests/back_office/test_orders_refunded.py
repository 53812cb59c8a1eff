"""Refunds in the back-office: form, consequences, idempotency, concurrency."""

from functools import partial
from typing import Any

import pytest

from balances.models import User
from commerce.audit.models import StaffAction
from coupons.models import UserCoupon
from orders.models import Order, Refund
from products.models import Product
from tests.back_office.staff import Page, Staff, messages_on
from tests.books import broken_rules
from tests.factories import CouponFactory, ProductFactory, UserCouponFactory, UserFactory, order_of, refunded
from tests.page_text import texts_of
from tests.shop_state import nothing_changes
from tests.shopper import Shopper
from tests.together import together
from tests.web_forms import fields_of

pytestmark = pytest.mark.django_db(transaction=True)

PAGE, ORDER = "orders_order_refund", "orders_order_change"
RIGHTS = ("orders.view_order", "orders.cancel_order")
REASON = "The pens leak."


@pytest.fixture
def clerk() -> Staff:
    return Staff(*RIGHTS)


@pytest.fixture
def mina() -> User:
    return UserFactory(username="mina", balance=20_000)


@pytest.fixture
def pen() -> Product:
    return ProductFactory(name="Pen", price=3_000, stock=10)


@pytest.fixture
def ink() -> Product:
    return ProductFactory(name="Ink", price=1_000, stock=10)


def asks(staff: Staff, order: Order, units: dict[Product, Any], *, restock: bool = True, **changes: Any) -> Page:
    """Fill in the form and submit it; the response is the confirmation."""
    form = staff.get(PAGE, order.pk)
    ticked = {f"line_{product.pk}": "on" for product in units}
    numbers = {f"units_{product.pk}": count for product, count in units.items()}
    sent = {name: value for name, value in fields_of(form.content.decode()).items() if not name.startswith("line_")}
    sent |= {"reason": REASON, **ticked, **numbers, **changes}
    if not restock:
        sent.pop("restock", None)
    return staff.post(PAGE, order.pk, **sent)


def confirm(staff: Staff, question: Page) -> Page:
    return staff.client.post(question.request["PATH_INFO"], fields_of(question.content.decode()))


def refunds(staff: Staff, order: Order, units: dict[Product, Any], **changes: Any) -> list[str]:
    """Submit and confirm; returns the messages."""
    return messages_on(confirm(staff, asks(staff, order, units, **changes)))


def text_of(page: Page) -> str:
    return " ".join(texts_of(page.content.decode()))


class TestTheForm:
    def test_shows_refundable_quantities(self, clerk: Staff, mina: User, pen: Product, ink: Product) -> None:
        order = order_of(mina, {pen: 3, ink: 1})
        refunded(order, {pen: 1, ink: 1})
        page = clerk.get(PAGE, order.pk)
        fields = fields_of(page.content.decode())
        assert fields[f"units_{pen.pk}"] == "2"
        assert f"units_{ink.pk}" not in fields
        assert "all refunded" in text_of(page)
        assert "₩4,000 refunded already" in text_of(page)

    def test_selects_the_only_refundable_item(self, clerk: Staff, mina: User, pen: Product, ink: Product) -> None:
        alone, two = order_of(mina, {pen: 1}), order_of(mina, {pen: 1, ink: 1})
        assert f"line_{pen.pk}" in fields_of(clerk.get(PAGE, alone.pk).content.decode())
        assert f"line_{pen.pk}" not in fields_of(clerk.get(PAGE, two.pk).content.decode())
        refunded(two, {ink: 1})
        assert f"line_{pen.pk}" in fields_of(clerk.get(PAGE, two.pk).content.decode())

    @pytest.mark.parametrize(
        ("units", "changes", "error"),
        [
            ({}, {}, "Select at least one item."),
            ({"pen": ""}, {}, "Enter the number of units."),
            ({"pen": 0}, {}, "Ensure this value is greater than or equal to 1."),
            ({"pen": 4}, {}, "Ensure this value is less than or equal to 3."),
            ({"pen": 3}, {}, "2 units can be refunded."),
            ({"pen": 1}, {"reason": ""}, "This field is required."),
        ],
    )
    def test_shows_errors_of_invalid_input(
        self, clerk: Staff, mina: User, pen: Product, ink: Product, *, units: Any, changes: Any, error: str
    ) -> None:
        order = order_of(mina, {pen: 3, ink: 1})
        refunded(order, {pen: 1})
        with nothing_changes():
            page = asks(clerk, order, {pen: units["pen"]} if units else {}, **changes)
        assert error in text_of(page)
        assert "Yes, refund" not in text_of(page)

    def test_is_refused_for_a_fully_returned_order(self, clerk: Staff, mina: User, pen: Product) -> None:
        back, cancelled = order_of(mina, {pen: 1}), order_of(mina, {pen: 1})
        refunded(back, {pen: 1})
        Shopper(mina).post(f"/api/orders/{cancelled.pk}/cancel")
        for order in (back, cancelled):
            assert messages_on(clerk.get(PAGE, order.pk)) == [f"Nothing is left of order #{order.pk} to refund."]
            assert f"/admin/orders/order/{order.pk}/refund/" not in clerk.get(ORDER, order.pk).content.decode()

    def test_requires_the_permission(self, clerk: Staff, mina: User, pen: Product) -> None:
        order = order_of(mina, {pen: 2})
        onlooker = Staff("orders.view_order")
        question = asks(clerk, order, {pen: 1})
        with nothing_changes():
            assert onlooker.get(PAGE, order.pk).status_code == 403
            assert confirm(onlooker, question).status_code == 403
        assert f"/admin/orders/order/{order.pk}/refund/" not in onlooker.get(ORDER, order.pk).content.decode()
        assert clerk.get(PAGE, 999_999).status_code == 404


class TestTheQuestion:
    def test_shows_the_consequences(self, clerk: Staff, mina: User, pen: Product, ink: Product) -> None:
        unit = UserCouponFactory(user=mina, coupon=CouponFactory(name="Welcome", discount_value=1_000))
        order = order_of(mina, {pen: 3, ink: 1}, coupon=unit)
        with nothing_changes():
            question = asks(clerk, order, {pen: 1})
        found = question.context["consequences"]
        # 9,000 of 10,000 won were paid.
        assert [(back.amount, back.before, back.after) for back in found.money] == [(2_700, 11_000, 13_700)]
        assert [(back.name, back.quantity, back.after) for back in found.units] == [("Pen", 1, 8)]
        assert found.coupons == []
        assert [each.event_type for each in found.events] == ["order-refunded", "balance-changed"]
        for sentence in (
            f"₩2,700 of order #{order.pk} will be refunded to mina. This cannot be undone.",
            "₩3,000 × 1",
            "balance ₩11,000 → ₩13,700",
            "stock 7 → 8",
            REASON,
        ):
            assert sentence in text_of(question)

    def test_shows_the_values_that_apply_afterwards(self, clerk: Staff, mina: User, pen: Product, ink: Product) -> None:
        unit = UserCouponFactory(user=mina)
        order = order_of(mina, {pen: 3, ink: 1}, coupon=unit)
        refunded(order, {pen: 2})
        question = asks(clerk, order, {pen: 1, ink: 1})
        found = question.context["consequences"]
        assert [back.user_coupon_id for back in found.coupons] == [unit.pk]
        confirm(clerk, question)
        mina.refresh_from_db()
        assert mina.balance == found.money[0].after == 20_000
        stocks = dict(Product.objects.values_list("pk", "stock"))
        assert {back.product_id: back.after for back in found.units} == stocks
        assert UserCoupon.objects.get().status == "AVAILABLE"

    def test_shows_that_units_are_not_restocked(self, clerk: Staff, mina: User, pen: Product) -> None:
        order = order_of(mina, {pen: 2})
        question = asks(clerk, order, {pen: 1}, restock=False)
        assert question.context["consequences"].units == []
        assert "No units are returned to the stock." in text_of(question)
        confirm(clerk, question)
        pen.refresh_from_db()
        assert (pen.stock, Refund.objects.get().restock) == (8, False)

    def test_leads_back_to_the_filled_form(self, clerk: Staff, mina: User, pen: Product, ink: Product) -> None:
        order = order_of(mina, {pen: 3, ink: 1})
        question = asks(clerk, order, {pen: 2})
        form = clerk.client.post(question.request["PATH_INFO"], {**fields_of(question.content.decode()), "again": "1"})
        fields = fields_of(form.content.decode())
        assert (fields[f"units_{pen.pk}"], fields["reason"]) == ("2", REASON)
        assert f"line_{pen.pk}" in fields
        assert f"line_{ink.pk}" not in fields


class TestItIsDone:
    def test_a_refund_is_made_and_reported(self, clerk: Staff, mina: User, pen: Product, ink: Product) -> None:
        order = order_of(mina, {pen: 3, ink: 1})
        assert refunds(clerk, order, {pen: 2}) == [f"₩6,000 of order #{order.pk} was refunded to mina."]
        action = StaffAction.objects.get()
        assert (action.actor_id, action.action, action.reason) == (clerk.user.pk, "Refunded", REASON)
        mina.refresh_from_db()
        pen.refresh_from_db()
        assert (mina.balance, pen.stock) == (16_000, 9)
        assert broken_rules() == set()

    def test_a_form_sent_repeatedly_refunds_once(self, clerk: Staff, mina: User, pen: Product) -> None:
        order = order_of(mina, {pen: 1})
        question = asks(clerk, order, {pen: 1})
        done = f"₩3,000 of order #{order.pk} was refunded to mina."
        assert messages_on(confirm(clerk, question)) == [done]
        with nothing_changes():
            assert messages_on(confirm(clerk, question))[-1] == f"Already done, and not repeated. {done}"

    def test_of_two_concurrent_refunds_one_succeeds(self, mina: User, pen: Product) -> None:
        order = order_of(mina, {pen: 1})
        clerks = [Staff(*RIGHTS) for _ in range(4)]
        questions = [asks(clerk, order, {pen: 1}) for clerk in clerks]
        pages = together([partial(confirm, *pair) for pair in zip(clerks, questions, strict=True)])
        messages = [message for page in pages if page.status_code == 302 for message in messages_on(page)]
        assert messages == [f"₩3,000 of order #{order.pk} was refunded to mina."]
        refused = [page for page in pages if page.status_code == 200]
        assert len(refused) == 3
        assert all(f"Order {order.pk} is REFUNDED." in text_of(page) for page in refused)
        mina.refresh_from_db()
        assert (mina.balance, StaffAction.objects.count()) == (20_000, 1)
        assert broken_rules() == set()


class TestTheOrderShowsIt:
    def test_on_its_page_and_its_timeline(self, mina: User, pen: Product, ink: Product) -> None:
        order = order_of(mina, {pen: 3, ink: 1})
        refunded(order, {pen: 1})
        refunded(order, {pen: 1}, restock=False)
        admin = Staff(superuser=True)
        shown = text_of(admin.get(ORDER, order.pk))
        assert "(2 refunded)" in shown
        assert "₩3,000 refunded · 1 × Pen" in shown
        assert "₩3,000 refunded · 1 × Pen · not back in stock" in shown
        first = Refund.objects.order_by("pk").first()
        assert first is not None
        assert f"Event order-refunded:{first.pk}:" in shown
        assert "Cancel and refund" not in shown
        assert "Refund items" in shown

    def test_a_refund_event_links_to_the_order(self, mina: User, pen: Product) -> None:
        order = order_of(mina, {pen: 1})
        made = refunded(order, {pen: 1}).refund
        admin = Staff(superuser=True)
        answer = admin.get("orders_order_of_refund", made.id)
        assert answer.headers["Location"] == f"/admin/orders/order/{order.pk}/change/"
        assert admin.get("orders_order_of_refund", 999_999).status_code == 404
        assert Staff().get("orders_order_of_refund", made.id).status_code == 403

    def test_in_the_list_by_status_and_filter(self, clerk: Staff, mina: User, pen: Product) -> None:
        whole, part, back = (order_of(mina, {pen: 2}) for _ in range(3))
        refunded(part, {pen: 1})
        refunded(back, {pen: 2})

        def found(**query: str) -> list[int]:
            page = clerk.client.get("/admin/orders/order/", query)
            return [each.pk for each in page.context["cl"].result_list]

        assert found(status__exact="REFUNDED") == [back.pk]
        assert found(refunds="with") == [back.pk, part.pk]
        assert found(status__exact="COMPLETED") == [part.pk, whole.pk]

    def test_in_the_totals_of_the_customers_page(self, mina: User, pen: Product) -> None:
        part, back, cancelled = (order_of(mina, {pen: 1}), order_of(mina, {pen: 1}), order_of(mina, {pen: 1}))
        order = order_of(mina, {pen: 2})
        refunded(order, {pen: 1})
        refunded(back, {pen: 1})
        Shopper(mina).post(f"/api/orders/{cancelled.pk}/cancel")
        page = Staff(superuser=True).get("balances_user_change", mina.pk)
        totals = {str(total.title): total.figure for total in page.context["totals"]}
        assert (totals["Orders that stand"], totals["Paid for them"]) == ("2", "₩6,000")
        assert (totals["Cancelled"], totals["Refunded"]) == ("1", "₩9,000")
        assert f"Refund of order #{order.pk}" in text_of(page)
        assert part.pk
