"""Concurrent orders of one customer for a product with a purchase limit never exceed the limit."""

from contextlib import ExitStack
from functools import partial

import pytest
from django.db.models import Sum

from balances.models import User
from commerce.audit.record import Staff
from commerce.idempotency.commit import Idempotency
from orders.models import Order, OrderItem
from orders.services import cancel_order, pay_reservation, place_order, refund_order
from products.models import Product
from reservations.services import reserve
from tests.books import broken_rules
from tests.concurrency import naive
from tests.concurrency.attempts import DONE, Attempt, attempt
from tests.factories import ProductFactory, StaffFactory, UserFactory, order_of
from tests.layers import LOCKS_OFF, QUEUE_OFF, REDIS_LOCKS_OFF, Protection, switched_off
from tests.shopper import Shopper
from tests.together import Meeting, together

pytestmark = pytest.mark.django_db(transaction=True)

AT_ONCE = 12
LIMIT = 3


@pytest.fixture
def user() -> User:
    return UserFactory(balance=50_000)


@pytest.fixture
def rare() -> Product:
    return ProductFactory(price=100, stock=1_000, purchase_limit=LIMIT)


def buys(user: User, product: Product, quantity: int = 1) -> Attempt:
    quantities = {product.pk: quantity}
    return attempt(
        lambda: place_order(user_id=user.pk, quantities=quantities, user_coupon_id=None, idempotency=Idempotency.none())
    )


def units(user: User) -> int:
    """Bought and kept."""
    kept = OrderItem.objects.filter(order__user=user, order__status="COMPLETED").aggregate(
        bought=Sum("quantity"), back=Sum("refunded_quantity")
    )
    return (kept["bought"] or 0) - (kept["back"] or 0)


def test_through_the_api(user: User, rare: Product) -> None:
    body = {"items": [{"productId": rare.pk, "quantity": 1}]}
    answers = together([partial(Shopper(user).post, "/api/orders", body)] * AT_ONCE)
    outcomes = [answer.outcome for answer in answers]
    assert outcomes.count((200, None)) == LIMIT
    assert outcomes.count((400, "purchase_limit_exceeded")) == AT_ONCE - LIMIT
    assert units(user) == LIMIT
    assert broken_rules() == set()


@pytest.mark.parametrize("off", [LOCKS_OFF, QUEUE_OFF, REDIS_LOCKS_OFF], ids=["no locks", "no queue", "no redis locks"])
def test_the_row_locks_alone_are_enough(user: User, rare: Product, off: Protection) -> None:
    with switched_off(off):
        outcomes = together([buys(user, rare)] * AT_ONCE)
    assert sorted(outcomes) == [DONE] * LIMIT + ["purchase_limit_exceeded"] * (AT_ONCE - LIMIT)
    assert units(user) == LIMIT


def test_carts_with_other_products_count_together(user: User, rare: Product) -> None:
    others = ProductFactory.create_batch(AT_ONCE, price=100)

    def buys_with(other: Product) -> Attempt:
        cart = {other.pk: 1, rare.pk: 2}
        return attempt(
            lambda: place_order(user_id=user.pk, quantities=cart, user_coupon_id=None, idempotency=Idempotency.none())
        )

    outcomes = together([buys_with(other) for other in others])
    assert outcomes.count(DONE) == 1


def test_with_concurrent_returns_the_limit_holds(user: User, rare: Product) -> None:
    by = Staff(StaffFactory().pk, "Sent back.")
    first, second = order_of(user, {rare: 2}), order_of(user, {rare: 1})

    def refund(order: Order) -> None:
        refund_order(order_id=order.pk, quantities={rare.pk: 1}, restock=True, by=by, idempotency=Idempotency.none())

    def cancel(order: Order) -> None:
        cancel_order(order_id=order.pk, owner_id=None, idempotency=Idempotency.none())

    coming_back = [attempt(partial(refund, first)), attempt(partial(cancel, second))]
    outcomes = together([*coming_back, *[buys(user, rare)] * AT_ONCE])
    bought = outcomes[2:].count(DONE)
    assert outcomes[:2] == [DONE, DONE]
    assert units(user) == 1 + bought <= LIMIT
    # A later order gets what is left.
    assert together([buys(user, rare)] * AT_ONCE).count(DONE) == 2 - bought
    assert units(user) == LIMIT
    assert broken_rules() == set()


def pays(user: User, reservation_id: int) -> Attempt:
    return attempt(
        lambda: pay_reservation(
            user_id=user.pk, reservation_id=reservation_id, user_coupon_id=None, idempotency=Idempotency.none()
        )
    )


def held(user: User, product: Product, quantity: int) -> int:
    """The id of a reservation."""
    return int(reserve(user_id=user.pk, quantities={product.pk: quantity}, idempotency=Idempotency.none()).pk)


@pytest.mark.parametrize("off", [LOCKS_OFF, QUEUE_OFF, REDIS_LOCKS_OFF], ids=["no locks", "no queue", "no redis locks"])
def test_a_reservation_paid_concurrently_counts(user: User, rare: Product, off: Protection) -> None:
    number = held(user, rare, 2)
    with switched_off(off):
        paid, *bought = together([pays(user, number), *[buys(user, rare)] * AT_ONCE])
    assert (paid, bought.count(DONE)) in ((DONE, 1), ("purchase_limit_exceeded", LIMIT))
    assert set(bought) == {DONE, "purchase_limit_exceeded"}
    assert units(user) == LIMIT
    assert broken_rules() == set()


def test_control_without_locks_a_reservation_exceeds_the_limit(user: User, rare: Product) -> None:
    # Both read the bought units at the same time.
    assert buys(user, rare)() == DONE
    number = held(user, rare, 2)
    meeting = Meeting()
    with ExitStack() as without:
        without.enter_context(switched_off(LOCKS_OFF))
        without.enter_context(naive.unlocked_rows(meeting.attend))
        outcomes = together([pays(user, number), buys(user, rare, 2)])
    assert meeting.took_place
    assert outcomes == [DONE, DONE]
    assert units(user) == 1 + 4 > LIMIT


def test_control_without_locks_the_limit_is_exceeded(user: User, rare: Product) -> None:
    """The control of all of the above."""
    # Both read the bought units at the same time.
    assert buys(user, rare)() == DONE
    with ExitStack() as without:
        without.enter_context(switched_off(LOCKS_OFF))
        without.enter_context(naive.unlocked_rows(Meeting().attend))
        outcomes = together([buys(user, rare, 2)] * 2)
    assert outcomes == [DONE, DONE]
    assert units(user) == 1 + 4 > LIMIT
