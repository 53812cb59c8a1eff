"""Cancelling orders in the back-office: consequences, reason, idempotency, concurrency."""

from collections.abc import Sequence
from contextlib import ExitStack
from functools import partial
from typing import Any

import pytest

from balances.models import LedgerEntry, User
from commerce.audit.models import StaffAction
from commerce.core.locks import product_lock, single_flight
from commerce.idempotency.commit import Idempotency
from commerce.invariants.check import invariants, violation_of
from coupons.models import UserCoupon
from orders.models import Order
from orders.services import cancel_order
from products.models import Product
from tests.back_office.staff import Page, Staff, errors_of, messages_on
from tests.books import broken_rules
from tests.concurrency import naive
from tests.factories import CouponFactory, ProductFactory, UserCouponFactory, UserFactory, expired_coupon_of, order_of
from tests.layers import LOCKS_OFF, constraint_dropped, switched_off
from tests.shop_state import nothing_changes, statements
from tests.shopper import Shopper
from tests.together import Meeting, together
from tests.web_forms import fields_of

pytestmark = pytest.mark.django_db(transaction=True)

LIST, ONE, MANY = "orders_order_changelist", "orders_order_cancel", "orders_order_cancel_many"
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


def asked_about(staff: Staff, orders: Sequence[Order], **query: str) -> Page:
    """The confirmation page of the list's action."""
    ticked = {"action": "cancel_and_refund", "_selected_action": [order.pk for order in orders]}
    address = staff.client.get("/admin/orders/order/", query).request
    led = staff.client.post("/admin/orders/order/", ticked, query_params=query)
    assert (address["REQUEST_METHOD"], led.status_code) == ("GET", 302), led
    return staff.client.get(led.headers["Location"])


def answers(staff: Staff, question: Page, reason: str = REASON, **changes: Any) -> Page:
    """Submit the form of the confirmation."""
    request = question.request
    address = f"{request['PATH_INFO']}?{request['QUERY_STRING']}"
    return staff.client.post(address, {**fields_of(question.content.decode()), "reason": reason, **changes})


def cancels(staff: Staff, order: Order, reason: str = REASON) -> Page:
    return answers(staff, staff.get(ONE, order.pk), reason)


def messages_after(staff: Staff) -> list[str]:
    """The messages on the next page."""
    return [str(message) for message in staff.get(LIST).context["messages"]]


def refunds_of(order: Order) -> int:
    return LedgerEntry.objects.filter(order_id=order.pk, type="REFUND").count()


class TestTheQuestion:
    def test_shows_the_consequences(self, clerk: Staff, mina: User, pen: Product) -> None:
        unit = UserCouponFactory(user=mina, coupon=CouponFactory(name="Welcome", discount_value=1_000))
        order = order_of(mina, {pen: 2}, coupon=unit)
        with nothing_changes():
            question = clerk.get(ONE, order.pk)
        found = question.context["consequences"]
        assert [(back.name, back.amount, back.before, back.after) for back in found.money] == [
            ("mina", 5_000, 15_000, 20_000)
        ]
        assert [(back.name, back.quantity, back.before, back.after) for back in found.units] == [("Pen", 2, 8, 10)]
        assert [(back.name, back.is_usable) for back in found.coupons] == [("Welcome", True)]
        assert [(each.event_type, each.destinations) for each in found.events] == [
            ("order-cancelled", ("kafka", "data-platform")),
            ("balance-changed", ("kafka",)),
        ]
        page = question.content.decode()
        for sentence in (
            "1 order will be cancelled, and ₩5,000 will be refunded. This cannot be undone.",
            "+₩5,000",
            "balance ₩15,000 → ₩20,000",
            "stock 8 → 10",
            "can be used again until",
        ):
            assert sentence in page

    def test_shows_the_values_that_apply_afterwards(self, clerk: Staff, mina: User, pen: Product) -> None:
        order = order_of(mina, {pen: 2})
        found = clerk.get(ONE, order.pk).context["consequences"]
        cancels(clerk, order)
        mina.refresh_from_db()
        pen.refresh_from_db()
        assert (mina.balance, pen.stock) == (found.money[0].after, found.units[0].after)

    def test_shows_that_a_coupon_has_expired(self, clerk: Staff, mina: User, pen: Product) -> None:
        unit = UserCouponFactory(user=mina)
        order = order_of(mina, {pen: 2}, coupon=unit)
        UserCoupon.objects.filter(pk=unit.pk).update(expires_at=expired_coupon_of(UserFactory()).expires_at)
        page = clerk.get(ONE, order.pk).content.decode()
        assert "cannot be used again" in page
        assert "can be used again until" not in page

    def test_shows_closed_accounts_and_inactive_products(self, clerk: Staff, mina: User, pen: Product) -> None:
        order = order_of(mina, {pen: 2})
        User.objects.filter(pk=mina.pk).update(is_active=False)
        Product.objects.filter(pk=pen.pk).update(is_active=False)
        page = clerk.get(ONE, order.pk).content.decode()
        assert "mina (closed account)" in page
        assert "Pen (not for sale)" in page
        assert messages_on(cancels(clerk, order)) == [f"Order #{order.pk} is cancelled: ₩6,000 was refunded to mina."]

    def test_about_many_adds_up(self, clerk: Staff, mina: User, pen: Product) -> None:
        joon = UserFactory(username="joon", balance=10_000)
        ink = ProductFactory(name="Ink", price=1_000, stock=5)
        first, second, third = order_of(mina, {pen: 2}), order_of(mina, {pen: 1, ink: 1}), order_of(joon, {ink: 2})
        gone = order_of(joon, {ink: 1})
        cancel_order(order_id=gone.pk, owner_id=joon.pk, idempotency=Idempotency.none())
        found = asked_about(clerk, [first, second, third, gone]).context["consequences"]
        assert (found.orders, found.left_alone, found.amount) == ([first, second, third], [gone], 12_000)
        assert [(back.name, back.amount, back.before, back.after) for back in found.money] == [
            ("mina", 10_000, 10_000, 20_000),
            ("joon", 2_000, 8_000, 10_000),
        ]
        assert [(back.name, back.quantity) for back in found.units] == [("Pen", 3), ("Ink", 3)]

    def test_takes_a_limited_number_of_queries(self, clerk: Staff, mina: User, pen: Product) -> None:
        orders = [order_of(mina, {pen: 1}) for _ in range(5)]
        with statements() as few:
            clerk.get(ONE, orders[0].pk)
        with statements() as many:
            clerk.get(MANY, ids=",".join(str(order.pk) for order in orders))
        assert len(many) == len(few) <= 8

    def test_is_skipped_for_a_cancelled_order(self, clerk: Staff, mina: User, pen: Product) -> None:
        order = order_of(mina, {pen: 2})
        cancel_order(order_id=order.pk, owner_id=mina.pk, idempotency=Idempotency.none())
        answer = clerk.get(ONE, order.pk)
        assert (answer.status_code, answer.headers["Location"]) == (302, f"/admin/orders/order/{order.pk}/change/")
        assert messages_on(answer) == [f"Order #{order.pk} was cancelled already."]
        assert (
            f"/admin/orders/order/{order.pk}/cancel/" not in clerk.get("orders_order_change", order.pk).content.decode()
        )

    @pytest.mark.parametrize("ids", ["", "abc", "1,", "1,abc", "-1", "1.5", "9" * 19, ",".join("1" * 101)])
    def test_refuses_a_forged_url(self, clerk: Staff, ids: str) -> None:
        with nothing_changes():
            assert clerk.get(MANY, ids=ids).status_code == 400

    def test_an_unknown_order_is_not_found(self, clerk: Staff) -> None:
        assert clerk.get(ONE, 10**17).status_code == 404
        assert clerk.get(ONE, 10**30).status_code == 400
        assert clerk.get(MANY, ids="1000000007").status_code == 404


class TestTheCancelling:
    def test_returns_money_units_and_coupon_and_is_recorded(self, clerk: Staff, mina: User, pen: Product) -> None:
        unit = UserCouponFactory(user=mina, coupon=CouponFactory(discount_value=1_000))
        order = order_of(mina, {pen: 2}, coupon=unit)
        answer = cancels(clerk, order)
        assert answer.headers["Location"] == f"/admin/orders/order/{order.pk}/change/"
        assert messages_on(answer) == [f"Order #{order.pk} is cancelled: ₩5,000 was refunded to mina."]
        for row in (order, mina, pen, unit):
            row.refresh_from_db()
        assert (order.status, mina.balance, pen.stock, unit.status) == ("CANCELLED", 20_000, 10, "AVAILABLE")
        action = StaffAction.objects.get()
        assert (action.actor_id, action.action, action.subject_type, action.subject_id, action.reason) == (
            *(clerk.user.pk, "Cancelled and refunded", "orders.order", str(order.pk)),
            REASON,
        )
        assert (action.before, action.after) == ({"status": "COMPLETED"}, {"status": "CANCELLED", "refunded": 5_000})
        assert [violation_of(invariant) for invariant in invariants(quiet_system=False)] == [None] * len(
            invariants(quiet_system=False)
        )

    def test_needs_a_reason(self, clerk: Staff, mina: User, pen: Product) -> None:
        order = order_of(mina, {pen: 2})
        question = clerk.get(ONE, order.pk)
        with nothing_changes():
            assert errors_of(answers(clerk, question, "  ")) == {"reason": ["This field is required."]}
            assert list(errors_of(answers(clerk, question, "x" * 201))) == ["reason"]
        assert not StaffAction.objects.exists()

    def test_is_done_once_for_a_form_sent_twice(self, clerk: Staff, mina: User, pen: Product) -> None:
        order = order_of(mina, {pen: 2})
        question = clerk.get(ONE, order.pk)
        sentence = [f"Order #{order.pk} is cancelled: ₩6,000 was refunded to mina."]
        answers(clerk, question)
        assert messages_after(clerk) == sentence
        with nothing_changes():
            answers(clerk, question)
            assert messages_after(clerk) == [f"Already done, and not repeated. {sentence[0]}"]
        assert (refunds_of(order), StaffAction.objects.count()) == (1, 1)

    def test_is_done_once_for_a_double_click(self, clerk: Staff, mina: User, pen: Product) -> None:
        order = order_of(mina, {pen: 2})
        question = clerk.get(ONE, order.pk)
        both = together([partial(answers, clerk, question)] * 2)
        sentence = f"Order #{order.pk} is cancelled: ₩6,000 was refunded to mina."
        assert sorted(messages_on(answer) for answer in both) == [
            [f"Already done, and not repeated. {sentence}"],
            [sentence],
        ]
        assert (refunds_of(order), StaffAction.objects.count()) == (1, 1)

    def test_is_refused_after_the_customer_has_cancelled(self, clerk: Staff, mina: User, pen: Product) -> None:
        order = order_of(mina, {pen: 2})
        question = clerk.get(ONE, order.pk)
        cancel_order(order_id=order.pk, owner_id=mina.pk, idempotency=Idempotency.none())
        with nothing_changes():
            answer = answers(clerk, question)
        assert messages_on(answer) == [f"Order #{order.pk} was cancelled already."]
        assert not StaffAction.objects.exists()

    def test_a_failure_writes_no_record(
        self, clerk: Staff, mina: User, pen: Product, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        order = order_of(mina, {pen: 2})
        question = clerk.get(ONE, order.pk)
        clerk.client.raise_request_exception = False

        def fails(*_args: object, **_values: object) -> None:
            raise RuntimeError("after the money has moved")

        monkeypatch.setattr("orders.services.publish", fails)
        with nothing_changes():
            assert answers(clerk, question).status_code == 500
        assert not StaffAction.objects.exists()


class TestManyAtOnce:
    def test_are_cancelled_with_one_reason_and_the_filters_stay(self, clerk: Staff, mina: User, pen: Product) -> None:
        first, second = order_of(mina, {pen: 2}), order_of(mina, {pen: 1})
        answer = answers(clerk, asked_about(clerk, [first, second], status__exact="COMPLETED"))
        assert answer.headers["Location"] == "/admin/orders/order/?status__exact=COMPLETED"
        assert messages_on(answer) == ["2 orders are cancelled: ₩9,000 refunded."]
        assert set(Order.objects.values_list("status", flat=True)) == {"CANCELLED"}
        assert set(StaffAction.objects.values_list("subject_id", "reason")) == {
            (str(first.pk), REASON),
            (str(second.pk), REASON),
        }

    def test_refusals_are_reported_per_order(self, clerk: Staff, mina: User, pen: Product) -> None:
        gone, live = order_of(mina, {pen: 2}), order_of(mina, {pen: 1})
        question = asked_about(clerk, [gone, live])
        cancel_order(order_id=gone.pk, owner_id=mina.pk, idempotency=Idempotency.none())
        assert messages_on(answers(clerk, question)) == [
            f"Order #{live.pk} is cancelled: ₩3,000 was refunded to mina.",
            f"Order #{gone.pk} was cancelled already.",
        ]
        assert (refunds_of(gone), refunds_of(live)) == (1, 1)

    def test_a_locked_order_is_reported_and_can_be_retried(
        self, clerk: Staff, mina: User, pen: Product, settings: Any
    ) -> None:
        ink = ProductFactory(name="Ink", price=1_000)
        free, busy = order_of(mina, {pen: 1}), order_of(mina, {ink: 1})
        question = asked_about(clerk, [free, busy])
        settings.LOCK_WAIT_SECONDS = 0.05
        with single_flight(product_lock(ink.pk)):
            answers(clerk, question)
        assert messages_after(clerk) == [
            f"Order #{free.pk} is cancelled: ₩3,000 was refunded to mina.",
            f"#{busy.pk}: Too many requests need the same rows right now. Nothing was changed.",
        ]
        answers(clerk, question)
        assert messages_after(clerk) == ["2 orders are cancelled: ₩4,000 refunded."]
        assert (refunds_of(free), refunds_of(busy)) == (1, 1)

    def test_sent_twice_are_done_once(self, clerk: Staff, mina: User, pen: Product) -> None:
        question = asked_about(clerk, [order_of(mina, {pen: 2}), order_of(mina, {pen: 1})])
        for again in ("", "Already done, and not repeated. "):
            answers(clerk, question)
            assert messages_after(clerk) == [f"{again}2 orders are cancelled: ₩9,000 refunded."]
        assert (LedgerEntry.objects.filter(type="REFUND").count(), StaffAction.objects.count()) == (2, 2)

    def test_are_a_hundred_at_most(self, clerk: Staff, mina: User, pen: Product) -> None:
        order = order_of(mina, {pen: 1})
        day = {"ordered_date": order.ordered_date, "created_at": order.created_at}
        nothing = {"total_amount": 0, "discount_amount": 0, "paid_amount": 0}
        Order.objects.bulk_create(Order(user=mina, status="PROCESSING", **nothing, **day) for _ in range(100))
        ticked = Order.objects.values_list("pk", flat=True)
        with nothing_changes():
            answer = clerk.post(LIST, action="cancel_and_refund", _selected_action=list(ticked))
        assert messages_on(answer) == ["At most 100 orders at a time."]


class TestWhoMayOnlyLook:
    def test_is_refused(self, clerk: Staff, mina: User, pen: Product) -> None:
        order = order_of(mina, {pen: 2})
        onlooker = Staff("orders.view_order", "orders.change_order")
        question = clerk.get(ONE, order.pk)
        assert (
            f"/admin/orders/order/{order.pk}/cancel/"
            not in onlooker.get("orders_order_change", order.pk).content.decode()
        )
        with nothing_changes():
            assert onlooker.get(ONE, order.pk).status_code == 403
            assert onlooker.get(MANY, ids=str(order.pk)).status_code == 403
            assert answers(onlooker, question).status_code == 403
            onlooker.post(LIST, action="cancel_and_refund", _selected_action=[order.pk])
        assert "Cancel and refund" not in onlooker.get(LIST).content.decode()


class TestAtOneMoment:
    def test_two_members_of_staff_cancel_it_once(self, mina: User, pen: Product) -> None:
        order = order_of(mina, {pen: 2})
        clerks = [Staff(*RIGHTS) for _ in range(4)]
        questions = [clerk.get(ONE, order.pk) for clerk in clerks]
        responses = together([partial(answers, *pair) for pair in zip(clerks, questions, strict=True)])
        assert sorted(message for answer in responses for message in messages_on(answer)) == [
            f"Order #{order.pk} is cancelled: ₩6,000 was refunded to mina.",
            *[f"Order #{order.pk} was cancelled already."] * 3,
        ]
        mina.refresh_from_db()
        pen.refresh_from_db()
        assert (mina.balance, pen.stock, StaffAction.objects.count()) == (20_000, 10, 1)

    def test_control_without_protection_it_is_refunded_twice(self, mina: User, pen: Product) -> None:
        """The control of the test above."""
        order = order_of(mina, {pen: 2})
        clerks = [Staff(*RIGHTS) for _ in range(2)]
        questions = [clerk.get(ONE, order.pk) for clerk in clerks]
        with ExitStack() as without:
            without.enter_context(switched_off(LOCKS_OFF))
            without.enter_context(naive.unlocked_rows(Meeting().attend))
            without.enter_context(constraint_dropped("user_balance_tx", "user_balance_tx_each_refund_once"))
            without.enter_context(constraint_dropped("stock_movement", "stock_movement_each_once"))
            together([partial(answers, *pair) for pair in zip(clerks, questions, strict=True)])
            mina.refresh_from_db()
            assert (mina.balance, StaffAction.objects.count()) == (26_000, 2)
            assert broken_rules() != set()

    def test_staff_and_the_customer_cancel_it_once(self, clerk: Staff, mina: User, pen: Product) -> None:
        order = order_of(mina, {pen: 2})
        question = clerk.get(ONE, order.pk)

        def by_staff() -> bool:
            return messages_on(answers(clerk, question)) != [f"Order #{order.pk} was cancelled already."]

        def by_customer() -> bool:
            return Shopper(mina).post(f"/api/orders/{order.pk}/cancel").outcome == (200, None)

        staff_did, customer_did = together([by_staff, by_customer])
        assert [staff_did, customer_did].count(True) == 1
        assert StaffAction.objects.filter(subject_id=str(order.pk)).count() == int(staff_did)
        mina.refresh_from_db()
        assert (mina.balance, refunds_of(order)) == (20_000, 1)

    def test_two_forms_of_the_same_orders_cancel_each_once(self, mina: User, pen: Product) -> None:
        orders = [order_of(mina, {pen: 1}) for _ in range(3)]
        clerks = [Staff(*RIGHTS) for _ in range(2)]
        questions = [asked_about(clerks[0], orders), asked_about(clerks[1], orders[::-1])]
        together([partial(answers, *pair) for pair in zip(clerks, questions, strict=True)])
        mina.refresh_from_db()
        assert (mina.balance, StaffAction.objects.count()) == (20_000, 3)


def test_a_cancellation_by_staff_through_the_api_is_recorded(clerk: Staff, mina: User, pen: Product) -> None:
    hers, his = order_of(mina, {pen: 1}), order_of(mina, {pen: 1})
    assert Shopper(mina).post(f"/api/orders/{hers.pk}/cancel").outcome == (200, None)
    body = {"reason": "Broken."}
    assert Shopper(clerk.user).post(f"/api/orders/{his.pk}/cancel", body).outcome == (200, None)
    action = StaffAction.objects.get()
    assert (action.actor_id, action.subject_id, action.reason) == (clerk.user.pk, str(his.pk), "Broken.")
