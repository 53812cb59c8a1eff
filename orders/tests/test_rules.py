"""The totals of orders, for any lines."""

from random import Random

from hypothesis import given
from hypothesis import strategies as st

from coupons.rules import Discount
from orders.rules import Line, total_of
from reservations.rules import LARGEST_QUANTITY, MOST_ITEMS

LINES = st.lists(
    st.builds(
        Line,
        product_id=st.integers(min_value=1, max_value=2**63 - 1),
        product_name=st.text(max_size=20),
        unit_price=st.integers(min_value=0, max_value=10**12),
        quantity=st.integers(min_value=1, max_value=LARGEST_QUANTITY),
    ),
    max_size=MOST_ITEMS,
)


@given(lines=LINES)
def test_the_total_is_the_sum_of_the_lines(lines: list[Line]) -> None:
    assert total_of(lines) == sum(line.unit_price * line.quantity for line in lines)
    assert total_of(lines) == sum(line.subtotal for line in lines)


@given(lines=LINES, position=st.randoms())
def test_the_order_of_the_lines_does_not_matter(lines: list[Line], position: Random) -> None:
    shuffled = list(lines)
    position.shuffle(shuffled)
    assert total_of(shuffled) == total_of(lines)


@given(first=LINES, second=LINES)
def test_totals_of_two_carts_add_up(first: list[Line], second: list[Line]) -> None:
    assert total_of(first) + total_of(second) == total_of([*first, *second])


def test_an_empty_cart_costs_nothing() -> None:
    assert total_of([]) == 0


@given(lines=LINES, percent=st.integers(min_value=1, max_value=100))
def test_the_largest_order_fits_a_bigint(lines: list[Line], percent: int) -> None:
    total = total_of(lines)
    paid = total - Discount("PERCENT", percent, None).off(total)
    assert 0 <= paid <= total < 2**63
