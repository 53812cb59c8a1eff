"""The receipt and the packing slip of an order."""

import re

import pytest

from balances.models import User
from commerce.idempotency.commit import Idempotency
from orders.models import Order
from orders.services import cancel_order
from tests.back_office.staff import Staff
from tests.factories import CouponFactory, ProductFactory, UserCouponFactory, UserFactory, order_of, refunded
from tests.shop_state import nothing_changes, statements

pytestmark = pytest.mark.django_db(transaction=True)

PAGES = ("orders_order_receipt", "orders_order_packing_slip")


@pytest.fixture
def mina() -> User:
    return UserFactory(username="mina", last_name="김", first_name="미나", email="mina@shop.kr", balance=100_000)


@pytest.fixture
def order(mina: User) -> Order:
    pen, ink = ProductFactory(name="Fountain Pen", price=3_000), ProductFactory(name="Ink", price=7_000)
    unit = UserCouponFactory(user=mina, coupon=CouponFactory(name="Welcome", discount_value=1_000))
    return order_of(mina, {pen: 2, ink: 1}, coupon=unit)


def text_of(page: str) -> str:
    return " ".join(re.sub(r"<[^>]+>", " ", page).split())


def test_the_receipt_has_prices_and_the_discount(order: Order) -> None:
    clerk = Staff("orders.view_order", "balances.view_user")
    with nothing_changes(), statements() as ran:
        text = text_of(clerk.get("orders_order_receipt", order.pk).content.decode())
    assert len(ran) <= 8
    for sentence in (
        f"Order #{order.pk}",
        "mina 김미나 mina@shop.kr",
        "Fountain Pen ₩3,000 2 ₩6,000",
        "Ink ₩7,000 1 ₩7,000",
        "Total ₩13,000",
        "Discount: Welcome -₩1,000",
        "Paid from the wallet ₩12,000",
    ):
        assert sentence in text
    assert "Cancelled" not in text


def test_the_slip_has_units_and_no_prices(order: Order) -> None:
    text = text_of(Staff("orders.view_order").get("orders_order_packing_slip", order.pk).content.decode())
    assert "2 Fountain Pen" in text
    assert "1 Ink" in text
    assert "3 Units in all" in text
    assert "₩" not in text


def test_a_refund_is_on_the_receipt_and_not_on_the_slip(order: Order) -> None:
    pen, ink = order.items.get(product_name="Fountain Pen"), order.items.get(product_name="Ink")
    refunded(order, {pen.product: 1})
    refunded(order, {ink.product: 1})
    clerk = Staff("orders.view_order")
    receipt = text_of(clerk.get(PAGES[0], order.pk).content.decode())
    assert re.search(r"Refund \S+ \S+ Fountain Pen × 1 -₩2,769 Refund \S+ \S+ Ink × 1 -₩6,461", receipt), receipt
    slip = text_of(clerk.get(PAGES[1], order.pk).content.decode())
    assert "1 Fountain Pen" in slip
    assert "Ink" not in slip
    assert "1 Units in all" in slip


def test_a_cancelled_order_is_marked_on_both(order: Order) -> None:
    cancel_order(order_id=order.pk, owner_id=None, idempotency=Idempotency.none())
    clerk = Staff("orders.view_order")
    assert "₩12,000 was refunded to the wallet." in clerk.get(PAGES[0], order.pk).content.decode()
    assert "Cancelled: do not send." in clerk.get(PAGES[1], order.pk).content.decode()


@pytest.mark.parametrize("page", PAGES)
def test_printing_requires_the_view_permission(order: Order, page: str) -> None:
    assert Staff("products.view_product").get(page, order.pk).status_code == 403
    assert Staff("orders.view_order").get(page, order.pk + 1).status_code == 404
    # Without the permission to view customers, the receipt contains no more customer data than the page of the order.
    shown = Staff("orders.view_order").get(page, order.pk).content.decode()
    assert "mina@shop.kr" not in shown
    assert "김미나" not in shown


@pytest.mark.parametrize("page", PAGES)
def test_names_are_escaped(mina: User, page: str) -> None:
    order = order_of(mina, {ProductFactory(name="<b>Pen</b>"): 1})
    assert "&lt;b&gt;Pen&lt;/b&gt;" in Staff("orders.view_order").get(page, order.pk).content.decode()


def test_the_page_of_the_order_links_to_both(order: Order) -> None:
    page = Staff("orders.view_order").get("orders_order_change", order.pk).content.decode()
    assert f'href="/admin/orders/order/{order.pk}/receipt/"' in page
    assert f'href="/admin/orders/order/{order.pk}/packing-slip/"' in page
