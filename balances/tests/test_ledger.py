"""Database constraints and triggers on balances and the ledger."""

from typing import Any

import pytest
from django.db import IntegrityError, connection, transaction
from django.utils import timezone

from balances.models import LedgerEntry, User
from commerce.core.sql import violated_constraint
from tests.factories import UserFactory

pytestmark = pytest.mark.django_db


def refused_by(sql: str, params: list[Any]) -> str | None:
    """The constraint that the statement violates; None if it succeeds."""
    try:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(sql, params)
    except IntegrityError as error:
        return violated_constraint(error)
    return None


@pytest.fixture
def user() -> User:
    return UserFactory(balance=1_000)


def test_a_negative_balance_is_refused(user: User) -> None:
    update = 'UPDATE "user" SET balance = %s WHERE id = %s'
    assert refused_by(update, [-1, user.pk]) == "user_balance_not_negative"
    assert refused_by(update, [0, user.pk]) is None


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE user_balance_tx SET amount = 5",
        "UPDATE user_balance_tx SET amount = amount",
        "DELETE FROM user_balance_tx",
    ],
)
def test_update_and_delete_of_ledger_entries_are_refused(user: User, statement: str) -> None:
    assert refused_by(statement, []) == "user_balance_tx_is_append_only"
    assert LedgerEntry.objects.get().amount == 1_000


INSERT = """
    INSERT INTO user_balance_tx (user_id, type, amount, balance_after, order_id, created_at, entry_hash)
    VALUES (%s, %s, %s, %s, %s, %s, sha256(''))
"""


@pytest.mark.parametrize(
    ("entry", "constraint"),
    [
        (("CHARGE", -1, 0, None), "user_balance_tx_sign_fits_type"),
        (("REFUND", -1, 0, 7), "user_balance_tx_sign_fits_type"),
        (("PAYMENT", 1, 0, 7), "user_balance_tx_sign_fits_type"),
        (("GIFT", 1, 0, None), "user_balance_tx_order_fits_type"),
        (("CHARGE", 1, 0, 7), "user_balance_tx_order_fits_type"),
        (("ADJUSTMENT", 1, 0, 7), "user_balance_tx_order_fits_type"),
        (("PAYMENT", -1, 0, None), "user_balance_tx_order_fits_type"),
        (("REFUND", 1, 0, None), "user_balance_tx_order_fits_type"),
        (("CHARGE", 1, -1, None), "user_balance_tx_balance_not_negative"),
        (("ADJUSTMENT", 0, 1, None), "user_balance_tx_adjustment_not_zero"),
        (("CHARGE", 1, 1, None), None),
        (("ADJUSTMENT", -1, 1, None), None),
        (("ADJUSTMENT", 1, 1, None), None),
        (("PAYMENT", 0, 1, 7), None),
        (("REFUND", 0, 1, 7), None),
    ],
)
def test_an_entry_must_fit_its_type(
    user: User, entry: tuple[str, int, int, int | None], constraint: str | None
) -> None:
    """`entry`: type, amount, balance after, order."""
    assert refused_by(INSERT, [user.pk, *entry, timezone.now()]) == constraint


@pytest.mark.parametrize(
    ("entry_type", "amount", "constraint"),
    [
        ("PAYMENT", -5, "user_balance_tx_one_payment_per_order"),
        ("REFUND", 5, "user_balance_tx_each_refund_once"),
    ],
)
def test_a_second_payment_or_refund_of_an_order_is_refused(
    user: User, entry_type: str, amount: int, constraint: str
) -> None:
    values = [user.pk, entry_type, amount, 1, 7, timezone.now()]
    assert refused_by(INSERT, values) is None
    assert refused_by(INSERT, values) == constraint
    assert refused_by(INSERT, [user.pk, entry_type, amount, 1, 8, timezone.now()]) is None


def test_deleting_a_customer_with_ledger_entries_is_refused(user: User) -> None:
    with pytest.raises(Exception, match="protected foreign keys"):
        user.delete()
