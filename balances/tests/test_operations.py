"""Deposits, withdrawals and refunds."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import pytest
from django.db import IntegrityError
from pytest_django import Settings

from balances.errors import BalanceLimitExceeded, InsufficientBalance, UserNotFound
from balances.models import LedgerEntry, User
from balances.operations import deposit, refund, will_move, withdraw
from balances.rules import Entry
from commerce.core.group_commit import commit
from commerce.core.sql import violated_constraint
from commerce.core.transaction import Transaction
from tests.factories import UserFactory
from tests.groups import round_trips
from tests.shop_state import nothing_changes

pytestmark = pytest.mark.django_db(transaction=True)

ORDER = 7


@pytest.fixture
def user() -> User:
    return UserFactory(balance=1_000)


@dataclass(frozen=True)
class Move:
    """A write of one operation."""

    user: User
    decide: Callable[[Transaction], Entry]

    def locks(self) -> Sequence[str]:
        return ()

    def load(self, transaction: Transaction) -> None:
        will_move(transaction, self.user.pk)


def balance(user: User) -> int:
    user.refresh_from_db()
    return user.balance


@pytest.mark.parametrize(
    ("step", "amount", "after"),
    [(withdraw, 400, 600), (withdraw, 1_000, 0), (withdraw, 0, 1_000), (refund, 400, 1_400), (refund, 0, 1_000)],
)
def test_an_operation_moves_the_balance_and_returns_its_ledger_entry(
    user: User, step: Callable[..., Entry], amount: int, after: int
) -> None:
    entry = commit(Move(user, lambda shared: step(shared, user_id=user.pk, amount=amount, order_id=ORDER)))
    written = LedgerEntry.objects.get(order_id=ORDER)
    names = ("id", "user_id", "type", "amount", "balance_after", "order_id", "created_at")
    assert [getattr(entry, name) for name in names] == [getattr(written, name) for name in names]
    assert (written.balance_after, abs(written.amount), balance(user)) == (after, amount, after)


def test_balance_and_ledger_are_written_by_one_statement(user: User) -> None:
    with round_trips() as trips:
        commit(Move(user, lambda shared: deposit(shared, user_id=user.pk, amount=5)))
    reads, writes = trips.postgresql
    assert [statement.split()[0] for statement in writes] == ["WITH", "COMMIT"]
    assert 'UPDATE "user" SET balance = balance + moved' in writes[0]
    assert "INSERT INTO user_balance_tx" in writes[0]
    assert any('FROM "user"' in statement and "FOR NO KEY UPDATE" in statement for statement in reads)


def test_withdrawing_more_than_the_balance_is_refused(user: User) -> None:
    with nothing_changes(), pytest.raises(InsufficientBalance) as refusal:
        commit(Move(user, lambda shared: withdraw(shared, user_id=user.pk, amount=1_001, order_id=ORDER)))
    assert (refusal.value.balance, refusal.value.required) == (1_000, 1_001)


def test_a_deposit_above_the_balance_limit_is_refused(user: User, settings: Settings) -> None:
    settings.BALANCE_LIMIT_WON = 1_500
    with nothing_changes(), pytest.raises(BalanceLimitExceeded) as refusal:
        commit(Move(user, lambda shared: deposit(shared, user_id=user.pk, amount=501)))
    assert (refusal.value.balance, refusal.value.limit) == (1_000, 1_500)


def test_a_refund_may_exceed_the_balance_limit(user: User, settings: Settings) -> None:
    settings.BALANCE_LIMIT_WON = 1_500
    commit(Move(user, lambda shared: refund(shared, user_id=user.pk, amount=2_000, order_id=ORDER)))
    assert balance(user) == 3_000


def test_a_second_refund_violates_a_constraint_and_rolls_back(user: User) -> None:
    commit(Move(user, lambda shared: refund(shared, user_id=user.pk, amount=5, order_id=ORDER)))
    with nothing_changes(), pytest.raises(IntegrityError) as error:
        commit(Move(user, lambda shared: refund(shared, user_id=user.pk, amount=5, order_id=ORDER)))
    assert violated_constraint(error.value) == "user_balance_tx_each_refund_once"


class TestAClosedAccount:
    """It receives refunds, and nothing else."""

    @pytest.fixture(autouse=True)
    def closed(self, user: User) -> None:
        User.objects.update(is_active=False)

    def test_receives_a_refund(self, user: User) -> None:
        commit(Move(user, lambda shared: refund(shared, user_id=user.pk, amount=5, order_id=ORDER)))
        assert balance(user) == 1_005

    def test_refuses_a_charge(self, user: User) -> None:
        with nothing_changes(), pytest.raises(UserNotFound):
            commit(Move(user, lambda shared: deposit(shared, user_id=user.pk, amount=5)))

    def test_refuses_a_payment(self, user: User) -> None:
        with nothing_changes(), pytest.raises(UserNotFound):
            commit(Move(user, lambda shared: withdraw(shared, user_id=user.pk, amount=5, order_id=ORDER)))
