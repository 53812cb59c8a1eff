"""One member of a group that cannot be done costs its neighbours nothing."""

from collections.abc import Callable, Sequence

import psycopg
import pytest

from balances.models import User
from balances.operations import Ledger
from balances.rules import START_OF_CHAIN, Account
from balances.services import ChargeBalance
from commerce.core.group import Group, Member, Write
from commerce.core.pipeline import Pipeline
from commerce.core.transaction import Transaction
from tests.factories import UserFactory

pytestmark = pytest.mark.django_db(transaction=True)


class NeedsWhatThereIsNot:
    """A write with a defect: it does not know what it needs."""

    def locks(self) -> Sequence[str]:
        return ()

    def load(self, transaction: Transaction) -> None:
        raise LookupError("a defect in load")

    def decide(self, transaction: Transaction) -> None:
        """Never reached."""


class AddsWhatCannotBeSent:
    """A write with a defect: its row has no form that PostgreSQL reads."""

    def locks(self) -> Sequence[str]:
        return ()

    def load(self, transaction: Transaction) -> None:
        """Needs nothing."""

    def decide(self, transaction: Transaction) -> None:
        transaction[Ledger].add({"type": object()})


class NamesNobody:
    """A write whose row names an account that was deleted meanwhile. PostgreSQL looks at that with COMMIT."""

    def locks(self) -> Sequence[str]:
        return ()

    def load(self, transaction: Transaction) -> None:
        """Needs nothing."""

    def decide(self, transaction: Transaction) -> None:
        account = Account(id=10**12, balance=0, ledger_head=START_OF_CHAIN, is_active=True)
        transaction[Ledger].add(account.deposit(1, limit=1, entry_id=10**12, now=transaction.now))


@pytest.mark.parametrize("poison", [NeedsWhatThereIsNot, AddsWhatCannotBeSent, NamesNobody])
def test_a_write_with_a_defect_fails_alone(poison: Callable[[], Write[None]]) -> None:
    users = [UserFactory(), UserFactory()]
    neighbours = [Member(ChargeBalance(user.pk, 500)) for user in users]
    poisoned = Member(poison())
    members = [neighbours[0], poisoned, neighbours[1]]

    run(members)
    assert [member.done for member in members] == [False, False, False]
    assert all(member.runs_alone for member in members)

    for member in members:
        run([member])
    assert [type(member.error) for member in neighbours] == [type(None), type(None)]
    assert isinstance(poisoned.error, LookupError | TypeError | psycopg.IntegrityError)
    assert [balance_of(user) for user in users] == [500, 500]


def balance_of(user: User) -> int:
    return User.objects.get(pk=user.pk).balance


def run(members: Sequence[Member]) -> None:
    Group(members).run(Pipeline, Pipeline.close, advisory=False)
