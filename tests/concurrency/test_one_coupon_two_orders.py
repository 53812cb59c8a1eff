"""One coupon in two simultaneous orders: it reduces the price of one of them."""

from contextlib import ExitStack
from functools import partial

import pytest

from balances.models import User
from commerce.idempotency.commit import Idempotency
from coupons.models import UserCoupon
from orders.models import Order
from orders.services import place_order
from products.models import Product
from tests.books import broken_rules
from tests.concurrency import naive
from tests.concurrency.attempts import DONE, Attempt, attempt
from tests.factories import ProductFactory, UserCouponFactory
from tests.layers import LOCKS_OFF, QUEUE_ALONE, QUEUE_OFF, REDIS_LOCKS_OFF, constraint_dropped, switched_off
from tests.shopper import Shopper
from tests.together import MEETING_SECONDS, Meeting, together

pytestmark = pytest.mark.django_db(transaction=True)

AT_ONCE = 10
ONE_LIVE_ORDER = "order_one_standing_per_user_coupon"


@pytest.fixture
def unit(user: User) -> UserCoupon:
    return UserCouponFactory(user=user)


def products(count: int) -> list[Product]:
    """Different products, so that no product lock separates two orders."""
    return ProductFactory.create_batch(count, price=2_000)


def uses(user: User, unit: UserCoupon, product: Product) -> Attempt:
    return attempt(
        lambda: place_order(
            user_id=user.pk, quantities={product.pk: 1}, user_coupon_id=unit.pk, idempotency=Idempotency.none()
        )
    )


def test_through_the_api(user: User, unit: UserCoupon) -> None:
    bodies = [
        {"items": [{"productId": product.pk, "quantity": 1}], "userCouponId": unit.pk} for product in products(AT_ONCE)
    ]
    answers = together([partial(Shopper(user).post, "/api/orders", body) for body in bodies])
    outcomes = [answer.outcome for answer in answers]
    assert outcomes.count((200, None)) == 1
    assert outcomes.count((400, "coupon_not_usable")) == AT_ONCE - 1
    assert {answer.json["reason"] for answer in answers if answer.status == 400} == {"used"}
    assert Order.objects.get().discount_amount == 1_000
    assert broken_rules() == set()


def test_the_row_lock_alone_is_enough(user: User, unit: UserCoupon) -> None:
    with switched_off(LOCKS_OFF), constraint_dropped("order", ONE_LIVE_ORDER):
        outcomes = together([uses(user, unit, product) for product in products(AT_ONCE)])
        assert Order.objects.count() == 1
        assert broken_rules() == set()
    assert sorted(outcomes) == ["coupon_not_usable"] * (AT_ONCE - 1) + [DONE]


def test_the_constraint_alone_is_enough(user: User, unit: UserCoupon) -> None:
    meeting = Meeting()
    with switched_off(LOCKS_OFF), naive.unlocked_rows(meeting.attend):
        outcomes = together([uses(user, unit, product) for product in products(2)])
    assert meeting.took_place
    assert sorted(outcomes) == [DONE, ONE_LIVE_ORDER]
    assert Order.objects.count() == 1
    assert broken_rules() == set()


def test_the_queue_alone_is_enough(user: User, unit: UserCoupon) -> None:
    meeting = Meeting(MEETING_SECONDS)
    with ExitStack() as without:
        without.enter_context(switched_off(QUEUE_ALONE))
        without.enter_context(naive.unlocked_rows(meeting.attend))
        without.enter_context(constraint_dropped("order", ONE_LIVE_ORDER))
        outcomes = together([uses(user, unit, product) for product in products(2)])
        assert broken_rules() == set()
    assert not meeting.took_place
    assert sorted(outcomes) == ["coupon_not_usable", DONE]


@pytest.mark.parametrize("redis_locks_off", [False, True], ids=["redis locks on", "redis locks off"])
def test_control_without_other_protections_it_is_used_twice(
    user: User, unit: UserCoupon, redis_locks_off: bool
) -> None:
    """The control: the Redis locks do not help, because each order has its own product."""
    off = (*QUEUE_OFF, *REDIS_LOCKS_OFF) if redis_locks_off else QUEUE_OFF
    with ExitStack() as without:
        without.enter_context(switched_off(off))
        without.enter_context(naive.unlocked_rows(Meeting().attend))
        without.enter_context(constraint_dropped("order", ONE_LIVE_ORDER))
        outcomes = together([uses(user, unit, product) for product in products(2)])
        assert outcomes == [DONE, DONE]
        assert Order.objects.filter(user_coupon=unit).count() == 2
        assert broken_rules() != set()
