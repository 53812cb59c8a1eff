"""Rules of orders: total, cancellation and refunds."""

import copy
from datetime import UTC, datetime

import pytest

from orders.errors import Excess, OrderNotCancellable, OrderNotRefundable, PurchaseLimitExceeded, RefundExceedsOrder
from orders.rules import (
    CANCELLED,
    COMPLETED,
    REFUNDED,
    Line,
    OrderState,
    RefundedLine,
    ReturnableItem,
    refunded_share,
    require_within_limit,
    total_of,
)

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def order(status: str = COMPLETED, **amounts: int) -> OrderState:
    """Three pens at 1,000 won and a desk at 7,000, paid with 9,001 won after a discount of 999."""
    state = OrderState(9, status, None, 10_000, 9_001, 0, 0)
    for name, value in amounts.items():
        setattr(state, name, value)
    return state


def items() -> list[ReturnableItem]:
    return [ReturnableItem(1, 21, 1_000, 3, 0), ReturnableItem(2, 22, 7_000, 1, 0)]


def test_a_total_is_price_times_quantity_of_each_line() -> None:
    lines = [Line(1, "Pen", 1_000, 3), Line(2, "Desk", 7_000, 2)]
    assert [line.subtotal for line in lines] == [3_000, 14_000]
    assert total_of(lines) == 17_000
    assert total_of([]) == 0


def test_units_up_to_the_purchase_limit_can_be_bought() -> None:
    require_within_limit(21, 2, limit=5, already_bought=3)


def test_a_unit_above_the_purchase_limit_is_refused_with_what_was_bought() -> None:
    with pytest.raises(PurchaseLimitExceeded) as refusal:
        require_within_limit(21, 3, limit=5, already_bought=3)
    assert refusal.value.product_id == 21
    assert refusal.value.limit == 5
    assert refusal.value.already_bought == 3


@pytest.mark.parametrize(
    ("paid", "returned", "total", "share"),
    [(9_001, 1_000, 10_000, 900), (9_001, 10_000, 10_000, 9_001), (9_001, 0, 10_000, 0), (0, 0, 0, 0), (5, 1, 1, 5)],
)
def test_a_share_is_rounded_down_and_nothing_of_nothing(paid: int, returned: int, total: int, share: int) -> None:
    assert refunded_share(paid, returned, total) == share


def test_a_completed_order_is_cancelled() -> None:
    state = order()
    state.cancel(NOW)
    assert (state.status, state.cancelled_at) == (CANCELLED, NOW)


@pytest.mark.parametrize(
    "state", [order(CANCELLED), order(REFUNDED), order(refunded_units=1), order(REFUNDED, refunded_units=4)]
)
def test_an_order_is_not_cancelled_twice_or_after_a_refund(state: OrderState) -> None:
    before = copy.copy(state)
    with pytest.raises(OrderNotCancellable) as refusal:
        state.cancel(NOW)
    assert (refusal.value.order_id, refusal.value.status) == (9, before.status)
    assert state == before


def test_a_part_is_refunded_at_its_share_of_what_was_paid() -> None:
    state, lines = order(), items()
    assert state.refund(lines, {21: 2}) == [RefundedLine(21, 2, 1_800)]
    assert state == order(refunded_amount=1_800, amount_moved=1_800, refunded_units=2, units_moved=2)
    assert lines == [ReturnableItem(1, 21, 1_000, 3, 2, units_moved=2), ReturnableItem(2, 22, 7_000, 1, 0)]


def test_a_second_refund_continues_and_the_last_unit_ends_it() -> None:
    state, lines = order(), items()
    state.refund(lines, {21: 1})
    assert state.refund(lines, {21: 1, 22: 1}) == [RefundedLine(21, 1, 900), RefundedLine(22, 1, 6_300)]
    assert state.status == COMPLETED
    assert state.refund(lines, {21: 1}) == [RefundedLine(21, 1, 901)]
    assert state == order(REFUNDED, refunded_amount=9_001, amount_moved=9_001, refunded_units=4, units_moved=4)
    assert [(item.refunded_quantity, item.units_moved, item.refundable) for item in lines] == [(3, 3, 0), (1, 1, 0)]


def test_what_was_refunded_before_it_was_read_is_not_moved() -> None:
    state = order(refunded_amount=900, refunded_units=1)
    lines = [ReturnableItem(1, 21, 1_000, 3, 1), ReturnableItem(2, 22, 7_000, 1, 0)]
    assert state.refund(lines, {21: 1}) == [RefundedLine(21, 1, 900)]
    assert state == order(refunded_amount=1_800, amount_moved=900, refunded_units=2, units_moved=1)
    assert lines[0] == ReturnableItem(1, 21, 1_000, 3, 2, units_moved=1)


def test_value_returned_is_the_price_of_what_came_back() -> None:
    assert ReturnableItem(1, 21, 1_000, 3, 2).value_returned == 2_000


def test_every_product_with_too_few_units_left_is_named() -> None:
    state, lines = order(), items()
    with pytest.raises(RefundExceedsOrder) as refusal:
        state.refund(lines, {21: 4, 22: 1, 23: 1})
    assert refusal.value.order_id == 9
    assert refusal.value.excesses == [Excess(21, 4, 3), Excess(23, 1, 0)]
    assert (state, lines) == (order(), items())


@pytest.mark.parametrize("status", [CANCELLED, REFUNDED])
def test_an_order_that_is_back_already_is_not_refunded(status: str) -> None:
    state, lines = order(status), items()
    with pytest.raises(OrderNotRefundable) as refusal:
        state.refund(lines, {21: 1})
    assert (refusal.value.order_id, refusal.value.status) == (9, status)
    assert (state, lines) == (order(status), items())
