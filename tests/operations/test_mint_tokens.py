"""`manage.py mint_tokens`: tokens of many customers at once."""

import json
from io import StringIO

import pytest
from django.core.management import CommandError, call_command

from tests.factories import StaffFactory, UserFactory
from tests.shopper import Shopper

pytestmark = pytest.mark.django_db


def mint(first: int, count: int) -> tuple[list[dict[str, object]], str]:
    out, err = StringIO(), StringIO()
    call_command("mint_tokens", f"--first={first}", f"--count={count}", stdout=out, stderr=err)
    return [json.loads(line) for line in out.getvalue().splitlines()], err.getvalue()


def test_each_customer_gets_a_valid_token() -> None:
    users = [UserFactory(balance=1_000 + number) for number in range(3)]
    tokens, errors = mint(users[0].pk, 3)
    assert [token["userId"] for token in tokens] == [user.pk for user in users]
    assert errors == ""
    for user, token in zip(users, tokens, strict=True):
        answer = Shopper(access=str(token["access"])).get(f"/api/balance/{user.pk}")
        assert answer.json == {"userId": user.pk, "balance": user.balance}


def test_staff_and_closed_accounts_are_left_out_with_a_note() -> None:
    first = UserFactory()
    StaffFactory()
    UserFactory(is_active=False)
    tokens, errors = mint(first.pk, 5)
    assert [token["userId"] for token in tokens] == [first.pk]
    assert errors == f"4 of the 5 ids from {first.pk} are not open customer accounts.\n"


def test_without_customers_it_is_an_error() -> None:
    with pytest.raises(CommandError, match=r"No token was minted\.") as refusal:
        mint(10**9, 10)
    assert refusal.value.returncode == 1


@pytest.mark.parametrize("arguments", [(0, 1), (1, 0), (-1, 1), (1, 1_000_001)])
def test_invalid_counts_are_refused(arguments: tuple[int, int]) -> None:
    with pytest.raises(CommandError, match="is not a whole number from 1 to"):
        mint(*arguments)
