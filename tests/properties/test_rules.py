"""The rules of accounts, stocks and coupons for any sequence of calls, without a database.

A refusal changes nothing, the moved amount is the difference, and `undo` of a transaction restores everything.
"""

import copy
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from balances.operations import Accounts
from balances.rules import START_OF_CHAIN, Account, Entry, entry_hash
from commerce.core.errors import DomainError
from commerce.core.transaction import Transaction
from coupons.operations import Coupons, HeldCoupons
from coupons.rules import AVAILABLE, USED, HeldCoupon, LimitedCoupon
from products.operations import Products
from products.rules import StockedProduct, take_all

NOW = datetime(2026, 3, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)
LIMIT_WON = 1_000
WON = st.integers(0, LIMIT_WON + 1)

MOVES = st.lists(
    st.tuples(st.just("deposit"), st.integers(1, LIMIT_WON + 1))
    | st.tuples(st.sampled_from(["withdraw", "refund"]), WON)
    | st.tuples(st.just("adjust"), st.integers(-LIMIT_WON, LIMIT_WON).filter(bool)),
    max_size=12,
)


def move(account: Account, step: str, amount: int, number: int) -> Entry:
    more: dict[str, Any] = {"entry_id": number, "now": NOW}
    more |= {"order_id": number} if step in ("withdraw", "refund") else {"limit": LIMIT_WON}
    entry: Entry = getattr(account, step)(amount, **more)
    return entry


def tried(step: Callable[[], Any]) -> Any:
    """Its result; None if it is refused."""
    try:
        return step()
    except DomainError:
        return None


@given(balance=st.integers(0, LIMIT_WON), is_active=st.booleans(), moves=MOVES)
def test_a_balance_is_the_sum_of_movements_and_never_negative(
    balance: int, is_active: bool, moves: Sequence[tuple[str, int]]
) -> None:
    account = Account(7, balance, START_OF_CHAIN, is_active)
    entries: list[Entry] = []
    for number, (step, amount) in enumerate(moves, start=1):
        before = copy.copy(account)
        entry = tried(partial(move, account, step, amount, number))
        if entry is None:
            assert account == before
            continue
        entries.append(entry)
        assert entry.balance_after == account.balance == before.balance + entry.amount
        if step in ("deposit", "adjust") and amount > 0:
            assert account.balance <= LIMIT_WON
        assert is_active or step == "refund"
    assert account.balance >= 0
    assert account.moved == account.balance - balance == sum(entry.amount for entry in entries)
    head = START_OF_CHAIN
    for entry in entries:
        head = entry_hash(
            head,
            entry_id=entry.id,
            user_id=7,
            entry_type=entry.type,
            amount=entry.amount,
            balance_after=entry.balance_after,
            order_id=entry.order_id,
            created_at=NOW,
        )
        assert entry.entry_hash == head
    assert account.ledger_head == head


@given(
    stock=st.integers(0, 20),
    moves=st.lists(st.tuples(st.sampled_from(["take", "put_back", "adjust"]), st.integers(-10, 10)), max_size=12),
)
def test_a_stock_is_the_sum_of_movements_and_never_negative(stock: int, moves: Sequence[tuple[str, int]]) -> None:
    product = StockedProduct(1, "Pen", 1_200, stock, is_active=True)
    for step, units in moves:
        before = copy.copy(product)
        wanted = units if step == "adjust" else abs(units)
        refused = False
        try:
            getattr(product, step)(wanted)
        except DomainError:
            refused = True
        sign = -1 if step == "take" else 1
        assert product.stock == before.stock + (0 if refused else sign * wanted)
        assert refused is (before.stock + sign * wanted < 0)
    assert product.stock >= 0
    assert product.moved == product.stock - stock


@given(
    shelves=st.lists(st.tuples(st.integers(0, 5), st.booleans()), min_size=1, max_size=4),
    cart=st.dictionaries(st.integers(0, 4), st.integers(1, 6), min_size=1),
)
def test_a_cart_is_bought_as_a_whole_or_not_at_all(shelves: Sequence[tuple[int, bool]], cart: dict[int, int]) -> None:
    products = {
        number: StockedProduct(number, "x", 1, stock, for_sale) for number, (stock, for_sale) in enumerate(shelves)
    }
    before = copy.deepcopy(products)
    found = {number: products.get(number) for number in cart}
    possible = all(
        number in products and products[number].is_active and products[number].stock >= quantity
        for number, quantity in cart.items()
    )
    try:
        take_all(found, cart)
    except DomainError:
        assert not possible
        assert products == before
    else:
        assert possible
        taken = {number: before[number].stock - product.stock for number, product in products.items()}
        assert taken == {number: cart.get(number, 0) for number in products}


def coupon(total: int, issued: int = 0) -> LimitedCoupon:
    return LimitedCoupon(3, "Spring", "FIXED", 10, None, 0, total, issued, NOW, NOW + HOUR, NOW + 2 * HOUR)


@given(
    total=st.integers(1, 5),
    wishes=st.lists(st.tuples(st.integers(1, 6), st.sampled_from([-1, 0, 59, 60])), max_size=20),
)
def test_issues_respect_quantity_window_and_one_per_customer(total: int, wishes: Sequence[tuple[int, int]]) -> None:
    limited = coupon(total)
    holders: set[int] = set()
    for number, (user_id, minutes) in enumerate(wishes):
        before = copy.copy(limited)
        now, has_one = NOW + timedelta(minutes=minutes), user_id in holders
        may_have_it = not has_one and 0 <= minutes < 60 and len(holders) < total
        held = tried(partial(limited.issue_to, user_id, has_one=has_one, user_coupon_id=number, now=now))
        assert (held is not None) is may_have_it
        if held is None:
            assert limited == before
        else:
            holders.add(user_id)
            assert (held.id, held.user_id, held.status, held.issued_at) == (number, user_id, AVAILABLE, now)
    assert limited.issued_count == limited.issued == len(holders) <= total


@given(
    steps=st.lists(
        st.tuples(
            st.sampled_from(["redeem", "redeem", "release"]),
            st.sampled_from([1, 1, 2]),
            st.sampled_from([0, 99, 100, 1_000]),
            st.sampled_from([0, 119, 120]),
        ),
        max_size=12,
    )
)
def test_a_coupon_is_used_by_its_owner_once_in_time_and_for_enough(
    steps: Sequence[tuple[str, int, int, int]],
) -> None:
    held = HeldCoupon(1, 1, 3, AVAILABLE, NOW, NOW + 2 * HOUR, None, "Spring", "FIXED", 150, None, 100)
    for step, user_id, total, minutes in steps:
        before = copy.copy(held)
        if step == "release":
            held.release()
            assert (held.status, held.used_at) == (AVAILABLE, None)
            continue
        now = NOW + timedelta(minutes=minutes)
        off = tried(partial(held.redeem, user_id=user_id, total_amount=total, now=now))
        may_use_it = user_id == 1 and before.status == AVAILABLE and minutes < 120 and total >= 100
        assert (off is not None) is may_use_it
        if off is None:
            assert held == before
        else:
            assert off == min(150, total)
            assert (held.status, held.used_at) == (USED, now)


@given(
    writes=st.lists(
        st.tuples(st.lists(st.sampled_from(["money", "stock", "coupon", "use"]), max_size=4), st.booleans()),
        max_size=8,
    )
)
def test_undo_restores_everything_and_keep_keeps_it(writes: Sequence[tuple[Sequence[str], bool]]) -> None:
    """Writes of one transaction, some of them refused after they have changed rows."""
    shared = Transaction()
    shared[Accounts].accept([(1, 500, START_OF_CHAIN, True)])
    shared[Products].accept([(1, "Pen", 10, 50, True)])
    limited = coupon(total=50)
    shared[Coupons].accept([tuple(getattr(limited, name) for name in LimitedCoupon.__slots__[:-1])])
    held = HeldCoupon(1, 1, 3, AVAILABLE, NOW, NOW + HOUR, None, "Spring", "FIXED", 1, None, 0)
    shared[HeldCoupons].accept([tuple(getattr(held, name) for name in HeldCoupon.__slots__)])

    def rows() -> list[Any]:
        return [copy.copy(shared[table]._rows[key]) for table, key in TABLES]

    kept: list[str] = []
    for steps, refused in writes:
        before = rows()
        for step in steps:
            _change(shared, step)
        if refused:
            shared.undo()
            assert rows() == before
        else:
            shared.keep()
            kept += steps
    account, pen, spring, _ = rows()
    assert (account.balance, account.moved) == (500 + kept.count("money"), kept.count("money"))
    assert (pen.stock, pen.moved) == (50 - kept.count("stock"), -kept.count("stock"))
    assert spring.issued == spring.issued_count == kept.count("coupon")
    assert [bool(shared[table].changed) for table, _ in TABLES] == [
        step in kept for step in ("money", "stock", "coupon", "use")
    ]


TABLES: tuple[tuple[Any, int], ...] = ((Accounts, 1), (Products, 1), (Coupons, 3), (HeldCoupons, 1))


def _change(shared: Transaction, step: str) -> None:
    if step == "money":
        account = shared[Accounts].get(1)
        assert account is not None
        account.deposit(1, limit=LIMIT_WON, entry_id=1, now=NOW)
    elif step == "stock":
        pen = shared[Products].get(1)
        assert pen is not None
        pen.take(1)
    elif step == "coupon":
        spring = shared[Coupons].get(3)
        assert spring is not None
        spring.issue_to(1, has_one=False, user_coupon_id=1, now=NOW)
    else:
        held = shared[HeldCoupons].get(1)
        assert held is not None
        held.status, held.used_at = USED, NOW
