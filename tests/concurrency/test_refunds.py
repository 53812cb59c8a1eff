"""Concurrent refunds of one order, also with its cancellation: nothing is returned twice."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial

import pytest

from balances.models import LedgerEntry, User
from commerce.audit.record import Staff
from commerce.core.transaction import LockedRows
from commerce.idempotency.commit import Idempotency
from orders.models import Order, Refund
from orders.operations import Orders, ReturnableItems
from orders.services import cancel_order, refund_order
from products.models import Product
from tests.books import broken_rules
from tests.concurrency import naive
from tests.concurrency.attempts import DONE, Attempt, attempt
from tests.factories import ProductFactory, StaffFactory, UserCouponFactory, UserFactory, order_of
from tests.layers import (
    LOCKS_OFF,
    QUEUE_ALONE,
    QUEUE_OFF,
    REDIS_LOCKS_OFF,
    Protection,
    constraint_dropped,
    switched_off,
)
from tests.shopper import Shopper
from tests.together import MEETING_SECONDS, Meeting, together

pytestmark = pytest.mark.django_db(transaction=True)

AT_ONCE = 20
WITHIN_QUANTITY = "order_item_refunded_within_quantity"
WITHIN_PAYMENT = "order_refunds_fit_status"


@pytest.fixture
def user() -> User:
    return UserFactory(balance=50_000)


@pytest.fixture
def pen() -> Product:
    return ProductFactory(price=1_200, stock=10)


@pytest.fixture
def clerk() -> User:
    return StaffFactory()


@pytest.fixture
def order(user: User, pen: Product) -> Order:
    """Of one unit: the last one is the first."""
    return order_of(user, {pen: 1})


def refunds(order: Order, pen: Product, clerk: User) -> Attempt:
    by = Staff(clerk.pk, "Sent back.")
    return attempt(
        lambda: refund_order(
            order_id=order.pk, quantities={pen.pk: 1}, restock=True, by=by, idempotency=Idempotency.none()
        )
    )


def cancels(order: Order) -> Attempt:
    return attempt(lambda: cancel_order(order_id=order.pk, owner_id=order.user_id, idempotency=Idempotency.none()))


def is_back_once(user: User, pen: Product) -> bool:
    user.refresh_from_db()
    pen.refresh_from_db()
    return (user.balance, pen.stock, LedgerEntry.objects.filter(type="REFUND").count()) == (50_000, 10, 1)


@contextmanager
def constraints_dropped() -> Iterator[None]:
    with constraint_dropped("order_item", WITHIN_QUANTITY), constraint_dropped("order", WITHIN_PAYMENT):
        yield


def test_two_concurrent_refunds_return_at_most_what_was_bought(user: User, pen: Product, clerk: User) -> None:
    unit = UserCouponFactory(user=user)
    order = order_of(user, {pen: 5}, coupon=unit)
    body = {"items": [{"productId": pen.pk, "quantity": 2}], "reason": "Sent back."}
    clerks = [Shopper(clerk), Shopper(StaffFactory())] * (AT_ONCE // 2)
    answers = together([partial(shopper.post, f"/api/orders/{order.pk}/refunds", body) for shopper in clerks])
    outcomes = [answer.outcome for answer in answers]
    assert outcomes.count((200, None)) == 2
    assert outcomes.count((400, "refund_exceeds_order")) == AT_ONCE - 2
    order.refresh_from_db()
    user.refresh_from_db()
    pen.refresh_from_db()
    unit.refresh_from_db()
    # 5,000 of 6,000 won were paid.
    assert (order.status, order.refunded_amount, user.balance, pen.stock) == ("COMPLETED", 4_000, 49_000, 9)
    assert unit.status == "USED"
    assert broken_rules() == set()


def test_the_last_unit_is_refunded_once(user: User, pen: Product, order: Order, clerk: User) -> None:
    outcomes = together([refunds(order, pen, clerk)] * AT_ONCE)
    assert sorted(outcomes) == [DONE] + ["order_not_refundable"] * (AT_ONCE - 1)
    assert is_back_once(user, pen)
    assert broken_rules() == set()


def test_a_key_sent_twenty_times_refunds_once(user: User, pen: Product, clerk: User) -> None:
    order = order_of(user, {pen: 5})
    body = {"items": [{"productId": pen.pk, "quantity": 1}], "reason": "Sent back."}
    path = f"/api/orders/{order.pk}/refunds"
    answers = together([lambda: Shopper(clerk).post(path, body, key="a-key")] * AT_ONCE)
    assert {answer.content for answer in answers if answer.status == 200} == {
        answer.content for answer in answers if answer.status == 200 and not answer.replayed
    }
    assert {answer.outcome for answer in answers} <= {(200, None), (409, "request_in_progress")}
    assert [answer.status for answer in answers if not answer.replayed].count(200) == 1
    assert Refund.objects.count() == 1
    assert broken_rules() == set()


@pytest.mark.parametrize("off", [LOCKS_OFF, QUEUE_OFF, REDIS_LOCKS_OFF], ids=["no locks", "no queue", "no redis locks"])
def test_the_row_lock_alone_is_enough(user: User, pen: Product, order: Order, clerk: User, off: Protection) -> None:
    with switched_off(off), constraints_dropped():
        outcomes = together([refunds(order, pen, clerk)] * AT_ONCE)
        assert is_back_once(user, pen)
        assert broken_rules() == set()
    assert sorted(outcomes) == [DONE] + ["order_not_refundable"] * (AT_ONCE - 1)


@pytest.mark.parametrize(
    ("table", "dropped", "kept"),
    [("order", WITHIN_PAYMENT, WITHIN_QUANTITY), ("order_item", WITHIN_QUANTITY, WITHIN_PAYMENT)],
    ids=["units", "won"],
)
def test_either_constraint_alone_is_enough(
    user: User, pen: Product, order: Order, clerk: User, *, table: str, dropped: str, kept: str
) -> None:
    meeting = Meeting()
    with ExitStack() as without:
        without.enter_context(switched_off(LOCKS_OFF))
        without.enter_context(naive.unlocked_rows(meeting.attend))
        without.enter_context(constraint_dropped(table, dropped))
        outcomes = together([refunds(order, pen, clerk)] * 2)
        assert is_back_once(user, pen)
    assert meeting.took_place
    assert sorted(outcomes) == [DONE, kept]


@pytest.mark.parametrize("off", [QUEUE_OFF, QUEUE_ALONE], ids=["redis lock alone", "queue alone"])
def test_a_lock_alone_is_enough(user: User, pen: Product, order: Order, clerk: User, off: Protection) -> None:
    meeting = Meeting(MEETING_SECONDS)
    with switched_off(off), naive.unlocked_rows(meeting.attend), constraints_dropped():
        outcomes = together([refunds(order, pen, clerk)] * 2)
        assert is_back_once(user, pen)
    assert not meeting.took_place
    assert sorted(outcomes) == [DONE, "order_not_refundable"]


def test_control_without_any_protection_a_unit_returns_twice(
    user: User, pen: Product, order: Order, clerk: User
) -> None:
    """The control of all of the above."""
    with switched_off(LOCKS_OFF), naive.unlocked_rows(Meeting().attend), constraints_dropped():
        outcomes = together([refunds(order, pen, clerk)] * 2)
        user.refresh_from_db()
        pen.refresh_from_db()
        assert outcomes == [DONE, DONE]
        assert (user.balance, pen.stock) == (51_200, 11)
        assert "refunded_units_were_bought" in broken_rules()


class TestWhileItIsCancelled:
    def test_one_of_the_two_succeeds(self, user: User, pen: Product, clerk: User) -> None:
        for _time in range(5):
            order = order_of(user, {pen: 2})
            attempts = [cancels(order), refunds(order, pen, clerk)] * (AT_ONCE // 4)
            outcomes = together(attempts)
            order.refresh_from_db()
            if order.status == "CANCELLED":
                assert outcomes.count(DONE) == 1
                assert outcomes.count("order_not_refundable") == len(attempts) // 2
            else:
                # Refunds follow each other until nothing is left.
                assert (order.status, outcomes.count(DONE)) == ("REFUNDED", 2)
                assert outcomes.count("order_not_cancellable") == len(attempts) // 2
        user.refresh_from_db()
        pen.refresh_from_db()
        assert (user.balance, pen.stock) == (50_000, 10)
        assert broken_rules() == set()

    @pytest.mark.parametrize("off", [LOCKS_OFF, REDIS_LOCKS_OFF], ids=["no locks", "no redis locks"])
    def test_the_row_lock_alone_is_enough(
        self, user: User, pen: Product, order: Order, clerk: User, off: Protection
    ) -> None:
        with switched_off(off), constraints_dropped():
            outcomes = together([cancels(order), refunds(order, pen, clerk)])
            assert is_back_once(user, pen)
            assert broken_rules() == set()
        assert outcomes.count(DONE) == 1

    def test_the_constraint_alone_is_enough(self, user: User, pen: Product, order: Order, clerk: User) -> None:
        meeting = Meeting()
        with switched_off(LOCKS_OFF), naive.unlocked_rows(meeting.attend):
            outcomes = together([cancels(order), refunds(order, pen, clerk)])
            assert is_back_once(user, pen)
            assert broken_rules() == set()
        assert meeting.took_place
        assert sorted(outcomes) == [DONE, WITHIN_PAYMENT]

    def test_control_without_any_protection_both_succeed(
        self, user: User, pen: Product, order: Order, clerk: User
    ) -> None:
        with switched_off(LOCKS_OFF), naive.unlocked_rows(Meeting().attend), constraints_dropped():
            outcomes = together([cancels(order), refunds(order, pen, clerk)])
            user.refresh_from_db()
            pen.refresh_from_db()
            assert outcomes == [DONE, DONE]
            assert (user.balance, pen.stock) == (51_200, 11)
            assert broken_rules() != set()


def test_the_rows_of_a_refund_are_locked_in_the_order_of_the_document() -> None:
    tables: list[type[LockedRows[object]]] = [Orders, ReturnableItems]  # type: ignore[list-item]
    assert [table.lock_order for table in tables] == [10, 12]
