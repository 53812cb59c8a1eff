"""Rules of accounts: allowed movements, and their ledger entries."""

import hashlib
from collections.abc import Callable
from datetime import UTC, datetime

import pytest

from balances.errors import BalanceLimitExceeded, InsufficientBalance, UserNotFound
from balances.rules import START_OF_CHAIN, Account, Entry, entry_hash

NOW = datetime(2026, 1, 1, 0, 0, 0, 7, tzinfo=UTC)
MICROSECONDS = 1_767_225_600_000_007
"""Of NOW, since 1970."""
LIMIT_WON = 1_000


def account(balance: int = 300, *, is_active: bool = True, moved: int = 0) -> Account:
    return Account(7, balance, START_OF_CHAIN, is_active, moved)


def sha256(text: str, after: bytes = START_OF_CHAIN) -> bytes:
    return hashlib.sha256(after + text.encode()).digest()


def entry(
    kind: str, amount: int, balance_after: int, order_id: int | None = None, refund_id: int | None = None
) -> Entry:
    """Number 5 of account 7, the first of its chain."""
    order = "" if order_id is None else str(order_id)
    digest = sha256(f"5|7|{kind}|{amount}|{balance_after}|{order}|{MICROSECONDS}")
    return Entry(5, 7, kind, amount, balance_after, order_id, NOW, digest, refund_id)


def test_a_deposit_reaches_the_limit_exactly() -> None:
    wallet = account()
    assert wallet.deposit(700, limit=LIMIT_WON, entry_id=5, now=NOW) == entry("CHARGE", 700, 1_000)
    assert wallet == Account(7, 1_000, entry("CHARGE", 700, 1_000).entry_hash, is_active=True, moved=700)


def test_a_deposit_above_the_limit_names_the_balance_and_the_limit() -> None:
    wallet = account()
    with pytest.raises(BalanceLimitExceeded) as refusal:
        wallet.deposit(701, limit=LIMIT_WON, entry_id=5, now=NOW)
    assert refusal.value.fields == {"balance": 300, "limit": 1_000}
    assert wallet == account()


def test_a_payment_takes_the_last_won() -> None:
    wallet = account()
    assert wallet.withdraw(300, order_id=9, entry_id=5, now=NOW) == entry("PAYMENT", -300, 0, 9)
    assert wallet == Account(7, 0, entry("PAYMENT", -300, 0, 9).entry_hash, is_active=True, moved=-300)


def test_a_payment_above_the_balance_names_the_balance_and_the_price() -> None:
    wallet = account()
    with pytest.raises(InsufficientBalance) as refusal:
        wallet.withdraw(301, order_id=9, entry_id=5, now=NOW)
    assert refusal.value.fields == {"balance": 300, "required": 301}
    assert wallet == account()


def test_a_payment_of_nothing_is_an_entry_too() -> None:
    assert account(0).withdraw(0, order_id=9, entry_id=5, now=NOW) == entry("PAYMENT", 0, 0, 9)


@pytest.mark.parametrize("refund_id", [None, 11])
def test_a_refund_adds_its_amount(refund_id: int | None) -> None:
    wallet = account()
    made = wallet.refund(200, order_id=9, entry_id=5, now=NOW, refund_id=refund_id)
    assert made == entry("REFUND", 200, 500, 9, refund_id)
    assert wallet == Account(7, 500, made.entry_hash, is_active=True, moved=200)


def test_a_refund_without_its_number_is_of_the_whole_order() -> None:
    assert account().refund(200, order_id=9, entry_id=5, now=NOW).refund_id is None


def test_a_refund_reaches_a_closed_account_above_the_limit() -> None:
    wallet = account(LIMIT_WON, is_active=False)
    assert wallet.refund(1, order_id=9, entry_id=5, now=NOW) == entry("REFUND", 1, 1_001, 9)


@pytest.mark.parametrize(("amount", "balance_after"), [(700, 1_000), (1, 301), (-1, 299), (-300, 0)])
def test_an_adjustment_goes_up_to_the_limit_and_down_to_zero(amount: int, balance_after: int) -> None:
    wallet = account()
    made = wallet.adjust(amount, limit=LIMIT_WON, entry_id=5, now=NOW)
    assert made == entry("ADJUSTMENT", amount, balance_after)
    assert wallet == Account(7, balance_after, made.entry_hash, is_active=True, moved=amount)


def test_a_credit_above_the_limit_names_the_balance_and_the_limit() -> None:
    wallet = account()
    with pytest.raises(BalanceLimitExceeded) as refusal:
        wallet.adjust(701, limit=LIMIT_WON, entry_id=5, now=NOW)
    assert refusal.value.fields == {"balance": 300, "limit": 1_000}
    assert wallet == account()


def test_a_credit_of_one_won_is_held_to_the_limit() -> None:
    with pytest.raises(BalanceLimitExceeded):
        account(LIMIT_WON).adjust(1, limit=LIMIT_WON, entry_id=5, now=NOW)


def test_a_debit_above_the_balance_names_the_balance_and_the_amount() -> None:
    wallet = account()
    with pytest.raises(InsufficientBalance) as refusal:
        wallet.adjust(-301, limit=LIMIT_WON, entry_id=5, now=NOW)
    assert refusal.value.fields == {"balance": 300, "required": 301}
    assert wallet == account()


def test_a_debit_is_allowed_above_the_limit() -> None:
    """Refunds may exceed the limit."""
    assert account(1_500).adjust(-1, limit=LIMIT_WON, entry_id=5, now=NOW) == entry("ADJUSTMENT", -1, 1_499)


CLOSED: list[Callable[[Account], Entry]] = [
    lambda wallet: wallet.deposit(1, limit=LIMIT_WON, entry_id=5, now=NOW),
    lambda wallet: wallet.withdraw(1, order_id=9, entry_id=5, now=NOW),
    lambda wallet: wallet.adjust(1, limit=LIMIT_WON, entry_id=5, now=NOW),
    lambda wallet: wallet.adjust(-1, limit=LIMIT_WON, entry_id=5, now=NOW),
]


@pytest.mark.parametrize("step", CLOSED, ids=["deposit", "withdraw", "credit", "debit"])
def test_a_closed_account_refuses_by_its_number(step: Callable[[Account], Entry]) -> None:
    wallet = account(is_active=False)
    with pytest.raises(UserNotFound) as refusal:
        step(wallet)
    assert refusal.value.user_id == 7
    assert wallet == account(is_active=False)


def test_movements_add_up_and_follow_each_other_in_the_chain() -> None:
    wallet = account(moved=40)
    first = wallet.deposit(100, limit=LIMIT_WON, entry_id=5, now=NOW)
    second = wallet.withdraw(30, order_id=9, entry_id=6, now=NOW)
    assert second.entry_hash == sha256(f"6|7|PAYMENT|-30|370|9|{MICROSECONDS}", after=first.entry_hash)
    assert wallet == Account(7, 370, second.entry_hash, is_active=True, moved=110)


def test_a_hash_is_of_the_previous_hash_and_the_documented_text() -> None:
    digest = entry_hash(
        START_OF_CHAIN,
        entry_id=5,
        user_id=7,
        entry_type="PAYMENT",
        amount=-300,
        balance_after=0,
        order_id=9,
        created_at=NOW,
    )
    assert digest == sha256("5|7|PAYMENT|-300|0|9|1767225600000007")
