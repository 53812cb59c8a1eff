"""One wallet, many simultaneous payments: no overdraft, and no charge is lost.

Orders do not acquire the wallet's Redis lock (they lock the products), so the row lock and the constraint are tested.
"""

from contextlib import ExitStack
from functools import partial

import pytest

from balances.models import LedgerEntry, User
from balances.services import charge_balance
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

NOT_NEGATIVE = "user_balance_not_negative"
AFTER_NOT_NEGATIVE = "user_balance_tx_balance_not_negative"


def products(count: int) -> list[Product]:
    """Different products, so that no product lock separates two orders."""
    return ProductFactory.create_batch(count, price=1_000)


def pays(user: User, product: Product) -> Attempt:
    return attempt(
        lambda: place_order(
            user_id=user.pk, quantities={product.pk: 1}, user_coupon_id=None, idempotency=Idempotency.none()
        )
    )


def charges(user: User, amount: int) -> Attempt:
    return attempt(lambda: charge_balance(user_id=user.pk, amount=amount, idempotency=Idempotency.none()))


def test_of_twenty_orders_ten_can_be_paid() -> None:
    user = UserFactory(balance=10_000)
    bodies = [{"items": [{"productId": product.pk, "quantity": 1}]} for product in products(20)]
    answers = together([partial(Shopper(user).post, "/api/orders", body) for body in bodies])
    outcomes = [answer.outcome for answer in answers]
    assert outcomes.count((200, None)) == 10
    assert outcomes.count((400, "insufficient_balance")) == 10
    user.refresh_from_db()
    assert (user.balance, Order.objects.count()) == (0, 10)
    assert broken_rules() == set()


@pytest.mark.parametrize("off", [LOCKS_OFF, QUEUE_OFF, REDIS_LOCKS_OFF], ids=["no locks", "no queue", "no redis locks"])
def test_the_row_lock_alone_is_enough(off: Protection) -> None:
    user = UserFactory(balance=10_000)
    with ExitStack() as without:
        without.enter_context(switched_off((*off, *RELATIVE_WRITES_OFF)))
        without.enter_context(constraint_dropped("user", NOT_NEGATIVE))
        without.enter_context(constraint_dropped("user_balance_tx", AFTER_NOT_NEGATIVE))
        outcomes = together([pays(user, product) for product in products(20)])
        user.refresh_from_db()
        assert user.balance == 0
        assert broken_rules() == set()
    assert sorted(outcomes) == [DONE] * 10 + ["insufficient_balance"] * 10


def test_the_constraint_alone_is_enough() -> None:
    user = UserFactory(balance=1_000)
    meeting = Meeting()
    with switched_off(LOCKS_OFF), naive.unlocked_rows(meeting.attend):
        outcomes = together([pays(user, product) for product in products(2)])
    assert meeting.took_place
    assert sorted(outcomes) == [DONE, NOT_NEGATIVE]
    user.refresh_from_db()
    assert user.balance == 0
    assert Order.objects.count() == 1
    assert broken_rules() == set()


def test_the_queue_alone_is_enough() -> None:
    user = UserFactory(balance=1_000)
    meeting = Meeting(MEETING_SECONDS)
    with ExitStack() as without:
        without.enter_context(switched_off(QUEUE_ALONE))
        without.enter_context(naive.unlocked_rows(meeting.attend, absolute=True))
        without.enter_context(constraint_dropped("user", NOT_NEGATIVE))
        outcomes = together([pays(user, product) for product in products(2)])
        assert broken_rules() == set()
    assert not meeting.took_place
    assert sorted(outcomes) == [DONE, "insufficient_balance"]


@pytest.mark.parametrize("off", [LOCKS_OFF, QUEUE_OFF], ids=["redis locks off", "redis locks on"])
def test_control_without_row_lock_and_constraint_won_is_spent_twice(off: Protection) -> None:
    """The control: the Redis locks of the products do not help, because each order has its own."""
    user = UserFactory(balance=1_000)
    meeting = Meeting()
    with ExitStack() as without:
        without.enter_context(switched_off(off))
        without.enter_context(naive.unlocked_rows(meeting.attend))
        without.enter_context(constraint_dropped("user", NOT_NEGATIVE))
        outcomes = together([pays(user, product) for product in products(2)])
        user.refresh_from_db()
        assert outcomes == [DONE, DONE]
        assert user.balance == -1_000
        assert broken_rules() != set()


class TestChargesAmongPayments:
    """A simultaneous charge and order both have their effect."""

    def test_through_the_api(self) -> None:
        user = UserFactory(balance=10_000)
        charges = [partial(Shopper(user).post, "/api/balance/charge", {"amount": 500}) for _ in range(10)]
        orders = [
            partial(Shopper(user).post, "/api/orders", {"items": [{"productId": product.pk, "quantity": 1}]})
            for product in products(10)
        ]
        assert {answer.status for answer in together([*charges, *orders])} == {200}
        user.refresh_from_db()
        assert user.balance == 10_000 + 10 * 500 - 10 * 1_000
        assert LedgerEntry.objects.filter(user=user).count() == 21
        assert broken_rules() == set()

    def test_with_the_locks_off(self) -> None:
        user = UserFactory(balance=10_000)
        with switched_off(LOCKS_OFF):
            outcomes = together([*[charges(user, 500)] * 10, *(pays(user, product) for product in products(10))])
        assert outcomes == [DONE] * 20
        user.refresh_from_db()
        assert user.balance == 5_000
        assert broken_rules() == set()

    def test_control_relative_writes_alone_break_the_ledger(self) -> None:
        """Both start from the same balance and the same entry, so the ledger needs the row lock.

        The balance does not: each write adds its amount to what the row then holds.
        """
        user = UserFactory(balance=10_000)
        [product] = products(1)
        with switched_off(LOCKS_OFF), naive.unlocked_rows(Meeting().attend):
            outcomes = together([charges(user, 500), pays(user, product)])
        assert outcomes == [DONE, DONE]
        user.refresh_from_db()
        assert user.balance == 9_500
        assert "ledger_is_unaltered" in broken_rules()

    def test_control_without_any_protection_a_charge_is_lost(self) -> None:
        """The control: both read 10,000 won, and the later write overwrites the earlier one."""
        user = UserFactory(balance=10_000)
        [product] = products(1)
        with switched_off(LOCKS_OFF), naive.unlocked_rows(Meeting().attend, absolute=True):
            outcomes = together([charges(user, 500), pays(user, product)])
        assert outcomes == [DONE, DONE]
        user.refresh_from_db()
        assert user.balance in (10_500, 9_000)
        assert broken_rules() != set()

    @pytest.mark.parametrize("off", [QUEUE_OFF, QUEUE_ALONE], ids=["redis lock alone", "queue alone"])
    def test_one_lock_alone_protects_two_charges(self, off: Protection) -> None:
        user = UserFactory()
        meeting = Meeting(MEETING_SECONDS)
        with switched_off(off), naive.unlocked_rows(meeting.attend, absolute=True):
            outcomes = together([charges(user, 500), charges(user, 700)])
        assert outcomes == [DONE, DONE]
        assert not meeting.took_place
        user.refresh_from_db()
        assert user.balance == 1_200
        assert broken_rules() == set()

    def test_control_without_that_lock_a_charge_is_lost(self) -> None:
        """The control of the test above."""
        user = UserFactory()
        with switched_off(LOCKS_OFF), naive.unlocked_rows(Meeting().attend, absolute=True):
            outcomes = together([charges(user, 500), charges(user, 700)])
        assert outcomes == [DONE, DONE]
        user.refresh_from_db()
        assert user.balance in (500, 700)
