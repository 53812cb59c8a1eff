"""The same request thirty times simultaneously with one `Idempotency-Key`: one effect, thirty equal responses."""

from contextlib import ExitStack
from functools import partial

import pytest

from balances.models import LedgerEntry, User
from commerce.idempotency.models import IdempotencyKey
from orders.models import Order
from products.models import Product
from tests.books import broken_rules
from tests.concurrency import naive
from tests.factories import ProductFactory, UserFactory
from tests.layers import LOCKS_OFF, QUEUE_OFF, REDIS_LOCKS_OFF, Protection, constraint_dropped, switched_off
from tests.shopper import Answer, Shopper
from tests.together import Meeting, together

pytestmark = pytest.mark.django_db(transaction=True)

AT_ONCE = 30
ONE_PER_CALLER = "idempotency_key_one_per_caller"


@pytest.fixture
def pen() -> Product:
    return ProductFactory(price=1_200, stock=100)


def thirty_orders(user: User, pen: Product) -> list[Answer]:
    body = {"items": [{"productId": pen.pk, "quantity": 1}]}
    return together([lambda: Shopper(user).post("/api/orders", body, key="one") for _ in range(AT_ONCE)])


def thirty_charges(user: User) -> list[Answer]:
    return together(
        [lambda: Shopper(user).post("/api/balance/charge", {"amount": 7}, key="one") for _ in range(AT_ONCE)]
    )


@pytest.mark.parametrize(
    "off",
    [(), LOCKS_OFF, QUEUE_OFF, REDIS_LOCKS_OFF],
    ids=["all protections", "no locks", "no queue", "no redis locks"],
)
class TestOneEffect:
    """Later requests find the response of the first: in their group, after its lock, or after its row locks."""

    def test_of_thirty_orders(self, user: User, pen: Product, off: Protection) -> None:
        with switched_off(off):
            answers = thirty_orders(user, pen)
        assert {answer.status for answer in answers} == {200}
        assert len({answer.content for answer in answers}) == 1
        assert [answer.replayed for answer in answers].count(False) == 1
        user.refresh_from_db()
        pen.refresh_from_db()
        assert (user.balance, pen.stock, Order.objects.count()) == (48_800, 99, 1)
        assert broken_rules() == set()

    def test_of_thirty_charges(self, user: User, off: Protection) -> None:
        with switched_off(off):
            answers = thirty_charges(user)
        assert len({answer.content for answer in answers}) == 1
        user.refresh_from_db()
        assert (user.balance, LedgerEntry.objects.filter(amount=7).count()) == (50_007, 1)
        assert broken_rules() == set()


@pytest.mark.parametrize("off", [(), LOCKS_OFF], ids=["all protections", "no locks"])
@pytest.mark.parametrize(("balance", "stock"), [(1_200, 100), (50_000, 1)], ids=["the last won", "the last unit"])
def test_one_effect_with_stock_for_one_only(balance: int, stock: int, off: Protection) -> None:
    """There is no unit left for later duplicates, but they still get the successful response of the first."""
    user, pen = UserFactory(balance=balance), ProductFactory(price=1_200, stock=stock)
    with switched_off(off):
        answers = thirty_orders(user, pen)
    assert {answer.status for answer in answers} == {200}
    assert len({answer.content for answer in answers}) == 1
    assert Order.objects.count() == 1


def test_thirty_bodies_under_one_key_have_one_effect(user: User) -> None:
    answers = together(
        [
            partial(Shopper(user).post, "/api/balance/charge", {"amount": amount}, key="one")
            for amount in range(1, AT_ONCE + 1)
        ]
    )
    outcomes = [answer.outcome for answer in answers]
    assert outcomes.count((200, None)) == 1
    assert outcomes.count((422, "idempotency_key_reused")) == AT_ONCE - 1
    assert LedgerEntry.objects.filter(user=user).count() == 2


def two_charges(user: User) -> list[Answer]:
    return together([lambda: Shopper(user).post("/api/balance/charge", {"amount": 7}, key="one") for _ in range(2)])


def test_the_unique_index_alone_is_enough(user: User) -> None:
    """Both have looked for a response and found none. The second one still finds that of the first."""
    meeting = Meeting()
    with switched_off(LOCKS_OFF), naive.unlocked_rows(meeting.attend):
        answers = two_charges(user)
    assert meeting.took_place
    assert {answer.status for answer in answers} == {200}
    assert len({answer.content for answer in answers}) == 1
    assert sorted(answer.replayed for answer in answers) == [False, True]
    user.refresh_from_db()
    assert user.balance == 50_007
    assert broken_rules() == set()


def test_a_refusal_before_the_transaction_is_stored_once(user: User) -> None:
    """No row lock separates them, so only the unique index is left after the Redis locks have expired."""
    meeting = Meeting()
    with switched_off(LOCKS_OFF), naive.after_reading(meeting.attend):
        answers = together([lambda: Shopper(user).post("/api/orders/999999999/cancel", key="one") for _ in range(2)])
    assert meeting.took_place
    assert {answer.outcome for answer in answers} == {(404, "order_not_found")}
    assert len({answer.content for answer in answers}) == 1
    assert sorted(answer.replayed for answer in answers) == [False, True]
    assert IdempotencyKey.objects.count() == 1


def test_control_without_any_protection_there_are_two_effects(user: User) -> None:
    """The control of all tests above."""
    with ExitStack() as without:
        without.enter_context(switched_off(LOCKS_OFF))
        without.enter_context(naive.unlocked_rows(Meeting().attend))
        without.enter_context(constraint_dropped("idempotency_key", ONE_PER_CALLER))
        answers = two_charges(user)
        assert [(answer.status, answer.replayed) for answer in answers] == [(200, False)] * 2
        user.refresh_from_db()
        assert user.balance == 50_014
        assert IdempotencyKey.objects.count() == 2
