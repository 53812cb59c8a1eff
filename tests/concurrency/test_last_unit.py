"""Many customers want the last unit of a product: one gets it. Each protection is sufficient; without any, it fails."""

from contextlib import ExitStack
from functools import partial

import pytest

from balances.models import User
from commerce.idempotency.commit import Idempotency
from orders.models import Order
from orders.services import place_order
from products.models import Product
from tests.books import broken_rules
from tests.concurrency import naive
from tests.concurrency.attempts import DONE, Attempt, attempt
from tests.factories import ProductFactory, UserFactory
from tests.layers import (
    LOCKS_OFF,
    QUEUE_ALONE,
    QUEUE_OFF,
    REDIS_LOCKS_OFF,
    RELATIVE_WRITES_OFF,
    Protection,
    constraint_dropped,
    switched_off,
)
from tests.shopper import Shopper
from tests.together import MEETING_SECONDS, Meeting, together

pytestmark = pytest.mark.django_db(transaction=True)

CROWD = 30
NOT_NEGATIVE = "product_stock_not_negative"


@pytest.fixture
def pen() -> Product:
    return ProductFactory(price=1_200, stock=1)


def buyers(count: int) -> list[User]:
    return UserFactory.create_batch(count, balance=5_000)


def wants(user: User, pen: Product) -> Attempt:
    return attempt(
        lambda: place_order(
            user_id=user.pk, quantities={pen.pk: 1}, user_coupon_id=None, idempotency=Idempotency.none()
        )
    )


def test_concurrent_orders_buy_it_once(pen: Product) -> None:
    body = {"items": [{"productId": pen.pk, "quantity": 1}]}
    answers = together([partial(Shopper(user).post, "/api/orders", body) for user in buyers(CROWD)])
    outcomes = [answer.outcome for answer in answers]
    assert outcomes.count((200, None)) == 1
    assert outcomes.count((400, "out_of_stock")) == CROWD - 1
    pen.refresh_from_db()
    assert (pen.stock, Order.objects.count()) == (0, 1)
    assert broken_rules() == set()


@pytest.mark.parametrize("off", [LOCKS_OFF, QUEUE_OFF, REDIS_LOCKS_OFF], ids=["no locks", "no queue", "no redis locks"])
def test_the_row_lock_alone_is_enough(pen: Product, off: Protection) -> None:
    with switched_off((*off, *RELATIVE_WRITES_OFF)), constraint_dropped("product", NOT_NEGATIVE):
        outcomes = together([wants(user, pen) for user in buyers(CROWD)])
        pen.refresh_from_db()
        assert pen.stock == 0
        assert broken_rules() == set()
    assert sorted(outcomes) == [DONE] + ["out_of_stock"] * (CROWD - 1)


def test_the_constraint_alone_is_enough(pen: Product) -> None:
    """With relative updates: each write subtracts its unit from the current value of the row."""
    meeting = Meeting()
    with switched_off(LOCKS_OFF), naive.unlocked_rows(meeting.attend):
        outcomes = together([wants(user, pen) for user in buyers(2)])
    assert meeting.took_place
    assert sorted(outcomes) == [DONE, NOT_NEGATIVE]
    pen.refresh_from_db()
    assert pen.stock == 0
    assert broken_rules() == set()


@pytest.mark.parametrize("off", [QUEUE_OFF, QUEUE_ALONE], ids=["redis lock alone", "queue alone"])
def test_a_lock_alone_is_enough(pen: Product, off: Protection) -> None:
    meeting = Meeting(MEETING_SECONDS)
    with ExitStack() as without:
        without.enter_context(switched_off(off))
        without.enter_context(naive.unlocked_rows(meeting.attend, absolute=True))
        without.enter_context(constraint_dropped("product", NOT_NEGATIVE))
        outcomes = together([wants(user, pen) for user in buyers(2)])
        pen.refresh_from_db()
        assert pen.stock == 0
        assert broken_rules() == set()
    assert not meeting.took_place
    assert sorted(outcomes) == [DONE, "out_of_stock"]


def test_the_queue_alone_is_not_enough_for_a_slow_group(pen: Product) -> None:
    """Another leader takes the waiting writes, like another process: the queue is for speed, not for correctness."""
    meeting = Meeting()
    first, second = buyers(2)

    def comes_later() -> str:
        meeting.wait_for_first()
        return wants(second, pen)()

    with ExitStack() as without:
        without.enter_context(switched_off(REDIS_LOCKS_OFF))
        without.enter_context(naive.slow_groups())
        without.enter_context(naive.unlocked_rows(meeting.attend))
        without.enter_context(constraint_dropped("product", NOT_NEGATIVE))
        assert together([wants(first, pen), comes_later]) == [DONE, DONE]
        pen.refresh_from_db()
        assert pen.stock == -1
        assert broken_rules() != set()


@pytest.mark.parametrize(("absolute", "left"), [(False, -1), (True, 0)], ids=["relative", "absolute"])
def test_control_without_any_protection_it_is_sold_twice(pen: Product, absolute: bool, left: int) -> None:
    """The control of all tests above."""
    with ExitStack() as without:
        without.enter_context(switched_off(LOCKS_OFF))
        without.enter_context(naive.unlocked_rows(Meeting().attend, absolute=absolute))
        without.enter_context(constraint_dropped("product", NOT_NEGATIVE))
        outcomes = together([wants(user, pen) for user in buyers(2)])
        pen.refresh_from_db()
        assert outcomes == [DONE, DONE]
        assert (pen.stock, Order.objects.count()) == (left, 2)
        assert broken_rules() != set()
