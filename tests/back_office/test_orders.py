"""Orders in the back-office: everything to see, one thing to do."""

from functools import partial

import pytest
from django.contrib.admin.models import LogEntry

from balances.models import LedgerEntry, User
from commerce.idempotency.claims import Once
from commerce.invariants.check import invariants, violation_of
from orders.models import Order
from orders.services import cancel_order
from products.models import Product
from tests.back_office.staff import Page, Staff, told_by
from tests.factories import CouponFactory, ProductFactory, UserCouponFactory, UserFactory, order_of
from tests.shop_state import nothing_changes
from tests.together import together

pytestmark = pytest.mark.django_db(transaction=True)

CLERK = ("orders.view_order", "orders.change_order", "orders.view_orderitem")


@pytest.fixture
def clerk() -> Staff:
    return Staff(*CLERK)


@pytest.fixture
def buyer() -> User:
    return UserFactory(username="mina", balance=20_000)


@pytest.fixture
def pen() -> Product:
    return ProductFactory(name="Pen", price=3_000, stock=10)


def cancel(staff: Staff, *orders: Order, confirmed: bool = True) -> Page:
    return staff.post(
        "orders_order_changelist",
        action="cancel_and_refund",
        _selected_action=[order.pk for order in orders],
        confirmed="yes" if confirmed else None,
    )


def test_an_order_shows_its_items_and_its_money(clerk: Staff, buyer: User, pen: Product) -> None:
    coupon = UserCouponFactory(user=buyer, coupon=CouponFactory(discount_value=1_000))
    order = order_of(buyer, {pen: 2}, coupon=coupon)
    page = clerk.get("orders_order_change", order.pk).content.decode()
    payment = LedgerEntry.objects.get(order_id=order.pk)
    assert f'<a href="/admin/balances/ledgerentry/{payment.pk}/change/">Payment</a> -5,000 → 15,000' in page
    for shown in ("Pen", "6000", "1000", "5000", "mina"):
        assert shown in page
    assert f"/admin/orders/order/{order.pk}/cancel/" in page


def test_cancelling_asks_first(clerk: Staff, buyer: User, pen: Product) -> None:
    order = order_of(buyer, {pen: 2})
    with nothing_changes():
        asked = cancel(clerk, order, confirmed=False)
        asked_for_one = clerk.get("orders_order_cancel", order.pk)
    for question in (asked, asked_for_one):
        assert question.status_code == 200
        assert list(question.context["orders"]) == [order]
        assert "The money goes back to the customer" in question.content.decode()


def test_cancelled_orders_give_back_money_units_and_coupon(clerk: Staff, buyer: User, pen: Product) -> None:
    coupon = UserCouponFactory(user=buyer, coupon=CouponFactory(discount_value=1_000))
    first, second = order_of(buyer, {pen: 2}, coupon=coupon), order_of(buyer, {pen: 3})
    answer = cancel(clerk, first, second)
    assert told_by(answer) == ["2 orders were cancelled."]
    assert set(Order.objects.values_list("status", flat=True)) == {"CANCELLED"}
    buyer.refresh_from_db()
    pen.refresh_from_db()
    coupon.refresh_from_db()
    assert (buyer.balance, pen.stock, coupon.status) == (20_000, 10, "AVAILABLE")
    assert {(entry.user_id, entry.object_id) for entry in LogEntry.objects.all()} == {
        (clerk.user.pk, str(first.pk)),
        (clerk.user.pk, str(second.pk)),
    }
    assert [violation_of(invariant) for invariant in invariants(quiet_system=False)] == [None] * 25


def test_an_order_cancelled_meanwhile_is_said_and_the_others_go_on(clerk: Staff, buyer: User, pen: Product) -> None:
    gone, live = order_of(buyer, {pen: 2}), order_of(buyer, {pen: 3})
    cancel_order(order_id=gone.pk, owner_id=buyer.pk, once=Once())
    answer = cancel(clerk, gone, live)
    assert told_by(answer) == [f"Order {gone.pk} is CANCELLED.", "1 order was cancelled."]
    assert LedgerEntry.objects.filter(type="REFUND").count() == 2


def test_two_members_of_staff_refund_the_same_order_once(buyer: User, pen: Product) -> None:
    order = order_of(buyer, {pen: 2})
    clerks = [Staff(*CLERK) for _ in range(4)]
    answers = together([partial(cancel, clerk, order) for clerk in clerks])
    said = sorted(message for answer in answers for message in told_by(answer))
    assert said == ["1 order was cancelled.", *[f"Order {order.pk} is CANCELLED."] * 3]
    buyer.refresh_from_db()
    assert buyer.balance == 20_000


def test_who_may_only_look_does_not_cancel(buyer: User, pen: Product) -> None:
    order = order_of(buyer, {pen: 2})
    onlooker = Staff("orders.view_order")
    assert (
        f"/admin/orders/order/{order.pk}/cancel/" not in onlooker.get("orders_order_change", order.pk).content.decode()
    )
    with nothing_changes():
        assert onlooker.get("orders_order_cancel", order.pk).status_code == 403
        cancel(onlooker, order)


def test_a_hundred_orders_at_a_time_are_enough(clerk: Staff, buyer: User, pen: Product) -> None:
    order = order_of(buyer, {pen: 1})
    copies = [
        Order(
            user=buyer,
            status="PROCESSING",
            total_amount=0,
            discount_amount=0,
            paid_amount=0,
            ordered_date=order.ordered_date,
            created_at=order.created_at,
        )
        for _ in range(100)
    ]
    Order.objects.bulk_create(copies)
    with nothing_changes():
        answer = cancel(clerk, order, *copies)
    assert told_by(answer) == ["At most 100 orders at a time."]
