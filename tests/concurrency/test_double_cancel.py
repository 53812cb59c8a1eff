"""The same order is cancelled several times simultaneously: money, stock and coupon are returned once."""

from contextlib import ExitStack

import pytest

from balances.models import LedgerEntry, User
from commerce.idempotency.commit import Idempotency
from orders.models import Order
from orders.services import cancel_order
from products.models import Product, StockMovement
from tests.books import broken_rules
from tests.concurrency import naive
from tests.concurrency.attempts import DONE, Attempt, attempt
from tests.factories import UserCouponFactory, order_of
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
ONE_REFUND = "user_balance_tx_each_refund_once"
ONE_RETURN = "stock_movement_each_once"


@pytest.fixture
def order(user: User, pen: Product) -> Order:
    return order_of(user, {pen: 3})


def cancels(order: Order) -> Attempt:
    return attempt(lambda: cancel_order(order_id=order.pk, owner_id=order.user_id, idempotency=Idempotency.none()))


def everything_came_back_once(user: User, pen: Product) -> bool:
    user.refresh_from_db()
    pen.refresh_from_db()
    refunds = LedgerEntry.objects.filter(type="REFUND").count()
    returns = StockMovement.objects.filter(reason="RETURN").count()
    return (user.balance, pen.stock, refunds, returns) == (50_000, 10, 1, 1)


def test_through_the_api(user: User, pen: Product) -> None:
    unit = UserCouponFactory(user=user)
    order = order_of(user, {pen: 3}, coupon=unit)
    answers = together([lambda: Shopper(user).post(f"/api/orders/{order.pk}/cancel") for _ in range(AT_ONCE)])
    outcomes = [answer.outcome for answer in answers]
    assert outcomes.count((200, None)) == 1
    assert outcomes.count((409, "order_not_cancellable")) == AT_ONCE - 1
    assert everything_came_back_once(user, pen)
    unit.refresh_from_db()
    assert unit.status == "AVAILABLE"
    assert broken_rules() == set()


@pytest.mark.parametrize("off", [LOCKS_OFF, QUEUE_OFF, REDIS_LOCKS_OFF], ids=["no locks", "no queue", "no redis locks"])
def test_the_row_lock_alone_is_enough(user: User, pen: Product, order: Order, off: Protection) -> None:
    with ExitStack() as without:
        without.enter_context(switched_off(off))
        without.enter_context(constraint_dropped("user_balance_tx", ONE_REFUND))
        without.enter_context(constraint_dropped("stock_movement", ONE_RETURN))
        outcomes = together([cancels(order)] * AT_ONCE)
        assert everything_came_back_once(user, pen)
        assert broken_rules() == set()
    assert sorted(outcomes) == [DONE] + ["order_not_cancellable"] * (AT_ONCE - 1)


@pytest.mark.parametrize(
    ("dropped", "kept"),
    [(("stock_movement", ONE_RETURN), ONE_REFUND), (("user_balance_tx", ONE_REFUND), ONE_RETURN)],
    ids=["one refund per order", "one return per order"],
)
def test_either_constraint_alone_is_enough(
    user: User, pen: Product, order: Order, dropped: tuple[str, str], kept: str
) -> None:
    meeting = Meeting()
    with ExitStack() as without:
        without.enter_context(switched_off(LOCKS_OFF))
        without.enter_context(naive.unlocked_rows(meeting.attend))
        without.enter_context(constraint_dropped(*dropped))
        outcomes = together([cancels(order)] * 2)
        assert everything_came_back_once(user, pen)
    assert meeting.took_place
    assert sorted(outcomes) == [DONE, kept]


@pytest.mark.parametrize("off", [QUEUE_OFF, QUEUE_ALONE], ids=["redis lock alone", "queue alone"])
def test_a_lock_alone_is_enough(user: User, pen: Product, order: Order, off: Protection) -> None:
    meeting = Meeting(MEETING_SECONDS)
    with ExitStack() as without:
        without.enter_context(switched_off(off))
        without.enter_context(naive.unlocked_rows(meeting.attend))
        without.enter_context(constraint_dropped("user_balance_tx", ONE_REFUND))
        without.enter_context(constraint_dropped("stock_movement", ONE_RETURN))
        outcomes = together([cancels(order)] * 2)
        assert everything_came_back_once(user, pen)
    assert not meeting.took_place
    assert sorted(outcomes) == [DONE, "order_not_cancellable"]


def test_control_without_any_protection_money_returns_twice(user: User, pen: Product, order: Order) -> None:
    """The control of all tests above."""
    with ExitStack() as without:
        without.enter_context(switched_off(LOCKS_OFF))
        without.enter_context(naive.unlocked_rows(Meeting().attend))
        without.enter_context(constraint_dropped("user_balance_tx", ONE_REFUND))
        without.enter_context(constraint_dropped("stock_movement", ONE_RETURN))
        outcomes = together([cancels(order)] * 2)
        user.refresh_from_db()
        pen.refresh_from_db()
        assert outcomes == [DONE, DONE]
        assert (user.balance, pen.stock) == (53_600, 13)
        assert broken_rules() != set()
