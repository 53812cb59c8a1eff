"""Deposits, withdrawals and refunds, as the steps of other use cases."""

from collections.abc import Callable

import pytest
from django.db import IntegrityError
from django.utils import timezone
from pytest_django import Settings

from balances.errors import BalanceLimitExceeded, InsufficientBalance, UserNotFound
from balances.models import LedgerEntry, User
from balances.operations import NO_CEILING, deposit, refund, withdraw
from commerce.core.locks import locked_transaction
from commerce.core.sql import violated_constraint
from commerce.core.transaction import Transaction
from tests.factories import UserFactory
from tests.shop_state import nothing_changes, statements

pytestmark = pytest.mark.django_db(transaction=True)

ORDER = 7


@pytest.fixture
def user() -> User:
    return UserFactory(balance=1_000)


def moved(step: Callable[[Transaction], LedgerEntry]) -> LedgerEntry:
    with locked_transaction() as unit:
        return step(unit)


def balance(user: User) -> int:
    user.refresh_from_db()
    return user.balance


@pytest.mark.parametrize(
    ("step", "amount", "after"),
    [(withdraw, 400, 600), (withdraw, 1_000, 0), (withdraw, 0, 1_000), (refund, 400, 1_400), (refund, 0, 1_000)],
)
def test_a_step_moves_the_balance_and_returns_the_entry_it_wrote(
    user: User, step: Callable[..., LedgerEntry], amount: int, after: int
) -> None:
    entry = moved(lambda unit: step(unit, user_id=user.pk, amount=amount, order_id=ORDER, now=timezone.now()))
    written = LedgerEntry.objects.get(order_id=ORDER)
    names = ("id", "user_id", "type", "amount", "balance_after", "order_id", "created_at")
    assert [getattr(entry, name) for name in names] == [getattr(written, name) for name in names]
    assert (written.balance_after, abs(written.amount), balance(user)) == (after, amount, after)


def test_balance_and_ledger_are_one_statement(user: User) -> None:
    with statements() as ran:
        moved(lambda unit: deposit(unit, user_id=user.pk, amount=5, now=timezone.now()))
    changing = [statement for statement in ran if "balance" in statement and "outbox_message" not in statement]
    assert len(changing) == 1
    assert "UPDATE" in changing[0]
    assert "INSERT INTO user_balance_tx" in changing[0]


def test_more_than_there_is_cannot_be_withdrawn(user: User) -> None:
    with nothing_changes(), pytest.raises(InsufficientBalance) as refusal:
        moved(lambda unit: withdraw(unit, user_id=user.pk, amount=1_001, order_id=ORDER, now=timezone.now()))
    assert (refusal.value.balance, refusal.value.required) == (1_000, 1_001)


def test_no_more_than_the_ceiling_can_be_deposited(user: User, settings: Settings) -> None:
    settings.BALANCE_LIMIT_WON = 1_500
    with nothing_changes(), pytest.raises(BalanceLimitExceeded) as refusal:
        moved(lambda unit: deposit(unit, user_id=user.pk, amount=501, now=timezone.now()))
    assert (refusal.value.balance, refusal.value.limit) == (1_000, 1_500)


def test_the_ceiling_of_everything_but_charges_leaves_room_in_a_bigint(user: User) -> None:
    largest = NO_CEILING - 1_000
    moved(lambda unit: refund(unit, user_id=user.pk, amount=largest, order_id=ORDER, now=timezone.now()))
    assert balance(user) == NO_CEILING


def test_a_second_refund_breaks_a_constraint_and_undoes_everything(user: User) -> None:
    moved(lambda unit: refund(unit, user_id=user.pk, amount=5, order_id=ORDER, now=timezone.now()))
    with nothing_changes(), pytest.raises(IntegrityError) as error:
        moved(lambda unit: refund(unit, user_id=user.pk, amount=5, order_id=ORDER, now=timezone.now()))
    assert violated_constraint(error.value) == "user_balance_tx_one_refund_per_order"


class TestAClosedAccount:
    """Takes its refunds, and nothing else."""

    @pytest.fixture(autouse=True)
    def closed(self, user: User) -> None:
        User.objects.update(is_active=False)

    def test_takes_a_refund(self, user: User) -> None:
        moved(lambda unit: refund(unit, user_id=user.pk, amount=5, order_id=ORDER, now=timezone.now()))
        assert balance(user) == 1_005

    def test_takes_no_charge(self, user: User) -> None:
        with nothing_changes(), pytest.raises(UserNotFound):
            moved(lambda unit: deposit(unit, user_id=user.pk, amount=5, now=timezone.now()))

    def test_pays_nothing(self, user: User) -> None:
        with nothing_changes(), pytest.raises(UserNotFound):
            moved(lambda unit: withdraw(unit, user_id=user.pk, amount=5, order_id=ORDER, now=timezone.now()))
