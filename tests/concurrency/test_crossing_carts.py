"""Carts with the same products in opposite orders: no deadlock, because rows are locked together or not at all."""

from collections.abc import Sequence
from contextlib import ExitStack
from functools import partial
from unittest import mock

import pytest

from balances.models import User
from commerce.core.group import Group
from commerce.idempotency.commit import Idempotency
from orders.services import place_order
from products.models import Product
from tests.books import broken_rules
from tests.concurrency import naive
from tests.concurrency.attempts import DEADLOCK, DONE, Attempt, attempt
from tests.factories import ProductFactory, UserFactory, order_of
from tests.layers import LOCKS_OFF, QUEUE_ALONE, QUEUE_OFF, REDIS_LOCKS_OFF, Protection, switched_off
from tests.shopper import Shopper
from tests.together import MEETING_SECONDS, Meeting, another_session, meanwhile, row_held, together, wait_until

pytestmark = pytest.mark.django_db(transaction=True)

THREADS = 16
ROUNDS = 5


@pytest.fixture
def pair() -> list[Product]:
    return ProductFactory.create_batch(2, price=10, stock=1_000)


def buys(user: User, cart: Sequence[Product]) -> Attempt:
    quantities = {product.pk: 1 for product in cart}
    return attempt(
        lambda: place_order(user_id=user.pk, quantities=quantities, user_coupon_id=None, idempotency=Idempotency.none())
    )


def crossing(pair: list[Product], count: int) -> list[Attempt]:
    """`count` customers, every other one with the cart in reverse order."""
    users = UserFactory.create_batch(count, balance=10_000)
    return [buys(user, pair if number % 2 else pair[::-1]) for number, user in enumerate(users)]


def stocks(pair: list[Product]) -> list[int]:
    return list(Product.objects.filter(pk__in=[product.pk for product in pair]).values_list("stock", flat=True))


def test_sixteen_customers_through_the_api(pair: list[Product]) -> None:
    users = UserFactory.create_batch(THREADS, balance=10_000)

    def cart(number: int) -> dict[str, object]:
        products = pair if number % 2 else pair[::-1]
        return {"items": [{"productId": product.pk, "quantity": 1} for product in products]}

    def shop(number: int) -> list[int]:
        shopper = Shopper(users[number])
        return [shopper.post("/api/orders", cart(number)).status for _ in range(ROUNDS)]

    statuses = together([partial(shop, number) for number in range(THREADS)])
    assert statuses == [[200] * ROUNDS] * THREADS
    assert stocks(pair) == [1_000 - THREADS * ROUNDS] * 2
    assert broken_rules() == set()


@pytest.mark.parametrize("off", [LOCKS_OFF, QUEUE_OFF, REDIS_LOCKS_OFF], ids=["no locks", "no queue", "no redis locks"])
def test_the_row_locks_alone_are_enough(pair: list[Product], off: Protection) -> None:
    with switched_off(off):
        for _ in range(ROUNDS):
            assert together(crossing(pair, THREADS)) == [DONE] * THREADS
    assert stocks(pair) == [1_000 - THREADS * ROUNDS] * 2
    assert broken_rules() == set()


@pytest.mark.parametrize("use_case", ["order", "cancel"])
def test_a_write_that_lacks_a_row_holds_no_other(pair: list[Product], use_case: str) -> None:
    """While the lower one is locked, the higher one is free between two attempts: there is no deadlock."""
    lower, higher = pair
    user = UserFactory(balance=10_000)
    place = buys(user, [higher, lower])
    placed = order_of(user, {higher: 1, lower: 1})
    act = place if use_case == "order" else partial(_cancel, user, placed.pk)
    with mock.patch.object(Group, "_decide", autospec=True, side_effect=Group._decide) as tries, ExitStack() as held:
        held.enter_context(row_held("product", lower.pk))
        with meanwhile(act) as outcome:
            wait_until(lambda: tries.call_count > 1, "a second try")
            with another_session() as session:
                session.execute("SELECT FROM product WHERE id = %s FOR UPDATE", [higher.pk])
                assert not outcome.done()
            held.close()
            assert outcome.result() == DONE


@pytest.mark.parametrize("off", [QUEUE_OFF, QUEUE_ALONE], ids=["redis locks alone", "queue alone"])
def test_the_locks_alone_are_enough(pair: list[Product], off: Protection) -> None:
    meeting = Meeting(MEETING_SECONDS)
    with switched_off(off), naive.products_in_the_order_of_the_cart(meeting.attend):
        assert together(crossing(pair, 2)) == [DONE, DONE]
    assert not meeting.took_place


def test_control_without_any_order_two_carts_deadlock(pair: list[Product]) -> None:
    """The control: each holds the row that the other needs next, and PostgreSQL resolves the deadlock."""
    with switched_off(LOCKS_OFF), naive.products_in_the_order_of_the_cart(Meeting().attend):
        outcomes = together(crossing(pair, 2))
    assert sorted(outcomes) == [DEADLOCK, DONE]


def test_a_deadlock_is_a_503(pair: list[Product]) -> None:
    users = UserFactory.create_batch(2, balance=10_000)

    def post(user: User, products: Sequence[Product]) -> tuple[int, str | None]:
        body = {"items": [{"productId": product.pk, "quantity": 1} for product in products]}
        return Shopper(user).post("/api/orders", body).outcome

    with switched_off(LOCKS_OFF), naive.products_in_the_order_of_the_cart(Meeting().attend):
        outcomes = together([lambda: post(users[0], pair), lambda: post(users[1], pair[::-1])])
    assert set(outcomes) == {(200, None), (503, "lock_timeout")}


def test_orders_and_cancels_of_crossing_carts_do_not_deadlock(pair: list[Product]) -> None:
    users = UserFactory.create_batch(8, balance=10_000)
    placed = [(user, order_of(user, dict.fromkeys(pair, 1))) for user in users]
    cancels: list[Attempt] = [partial(_cancel, user, order.pk) for user, order in placed]
    with switched_off(LOCKS_OFF):
        outcomes = together([*cancels, *crossing(pair, 8)])
    assert outcomes == [DONE] * 16
    assert stocks(pair) == [1_000 - 8] * 2
    assert broken_rules() == set()


def _cancel(user: User, order_id: int) -> str:
    return DONE if Shopper(user).post(f"/api/orders/{order_id}/cancel").status == 200 else "refused"
