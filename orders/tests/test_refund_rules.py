"""The amounts of refunds, for any order and any sequence of partial refunds."""

from datetime import UTC, datetime
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orders.errors import OrderNotCancellable, OrderNotRefundable, RefundExceedsOrder
from orders.rules import CANCELLED, COMPLETED, REFUNDED, OrderState, ReturnableItem, refunded_share

NOW = datetime(2026, 1, 1, tzinfo=UTC)
BOUGHT = st.lists(st.tuples(st.integers(0, 10_000), st.integers(1, 6)), min_size=1, max_size=6)
"""Unit price and quantity of each line."""
SHARES = st.fractions(0, 1)


def an_order(bought: list[tuple[int, int]], discount: int = 0) -> tuple[OrderState, list[ReturnableItem]]:
    items = [
        ReturnableItem(number, number, unit_price, quantity, 0)
        for number, (unit_price, quantity) in enumerate(bought, start=1)
    ]
    total = sum(item.unit_price * item.quantity for item in items)
    return OrderState(1, COMPLETED, None, total, total - discount, 0, 0), items


def units_of(items: list[ReturnableItem]) -> list[int]:
    """A product id for each bought unit."""
    return [item.product_id for item in items for _unit in range(item.quantity)]


@given(bought=BOUGHT, share=SHARES, random=st.randoms())
def test_refunds_in_any_sequence_add_up_to_the_paid_amount(
    bought: list[tuple[int, int]], share: float, random: Random
) -> None:
    order, items = an_order(bought, discount=int(share * sum(price * count for price, count in bought)))
    left = units_of(items)
    random.shuffle(left)
    amounts = []
    while left:
        taken = [left.pop() for _unit in range(random.randint(1, len(left)))]
        lines = order.refund(items, {product_id: taken.count(product_id) for product_id in taken})
        amounts += [line.amount for line in lines]
        assert all(amount >= 0 for amount in amounts)
        returned = sum(item.value_returned for item in items)
        assert order.refunded_amount == refunded_share(order.paid_amount, returned, order.total_amount)
        assert (order.status == REFUNDED) == (not left)
    assert sum(amounts) == order.refunded_amount == order.paid_amount
    assert order.refunded_units == order.units_moved == sum(item.quantity for item in items)


def test_a_discount_is_shared_and_the_last_unit_pays_the_rest() -> None:
    order, items = an_order([(1_000, 3)], discount=1_000)
    assert [order.refund(items, {1: 1})[0].amount for _time in range(3)] == [666, 667, 667]
    assert order.status == REFUNDED


def test_a_free_order_refunds_zero_won() -> None:
    order, items = an_order([(0, 2)])
    assert [order.refund(items, {1: 1})[0].amount for _time in range(2)] == [0, 0]
    assert (order.status, order.refunded_units) == (REFUNDED, 2)


@given(bought=BOUGHT, more=st.integers(1, 5))
def test_refunding_more_than_was_bought_is_refused(bought: list[tuple[int, int]], more: int) -> None:
    order, items = an_order(bought)
    stranger = len(items) + 1
    asked = {items[0].product_id: items[0].quantity + more, items[-1].product_id: 1, stranger: 1}
    if len(items) == 1:
        asked = {items[0].product_id: items[0].quantity + more, stranger: 1}
    before = (repr(order), repr(items))
    with pytest.raises(RefundExceedsOrder) as refused:
        order.refund(items, asked)
    assert refused.value.fields["items"] == [
        {
            "productId": items[0].product_id,
            "requested": items[0].quantity + more,
            "refundable": items[0].quantity,
        },
        {"productId": stranger, "requested": 1, "refundable": 0},
    ]
    assert (repr(order), repr(items)) == before


def test_refunding_a_refunded_unit_is_refused() -> None:
    order, items = an_order([(1_000, 2)])
    order.refund(items, {1: 1})
    with pytest.raises(RefundExceedsOrder):
        order.refund(items, {1: 2})
    order.refund(items, {1: 1})
    with pytest.raises(OrderNotRefundable) as refused:
        order.refund(items, {1: 1})
    assert refused.value.fields == {"orderStatus": REFUNDED}


def test_an_order_is_cancelled_or_refunded_never_both() -> None:
    order, items = an_order([(1_000, 2)])
    order.refund(items, {1: 1})
    with pytest.raises(OrderNotCancellable) as refused:
        order.cancel(NOW)
    assert str(refused.value) == "A part of order 1 has been refunded."
    other, its_items = an_order([(1_000, 2)])
    other.cancel(NOW)
    assert other.status == CANCELLED
    with pytest.raises(OrderNotRefundable):
        other.refund(its_items, {1: 1})
