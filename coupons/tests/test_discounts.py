"""The arithmetic of discounts, for any coupon and any total."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coupons.rules import Discount

TOTALS = st.integers(min_value=0, max_value=10**14)
CAPS = st.none() | st.integers(min_value=1, max_value=10**12)
PERCENTS = st.integers(min_value=1, max_value=100)
DISCOUNTS = st.builds(Discount, st.just("FIXED"), st.integers(min_value=1, max_value=10**12), st.none()) | st.builds(
    Discount, st.just("PERCENT"), PERCENTS, CAPS
)


@given(discount=DISCOUNTS, total=TOTALS)
def test_a_discount_is_between_zero_and_the_total(discount: Discount, total: int) -> None:
    assert 0 <= discount.off(total) <= total


@given(discount=DISCOUNTS, total=TOTALS, more=st.integers(min_value=0, max_value=10**6))
def test_a_larger_order_gets_no_smaller_discount_and_never_costs_less(
    discount: Discount, total: int, more: int
) -> None:
    assert discount.off(total + more) >= discount.off(total)
    assert total + more - discount.off(total + more) >= total - discount.off(total)


@given(value=st.integers(min_value=1, max_value=10**12), total=TOTALS)
def test_a_fixed_discount_is_its_value_or_the_total(value: int, total: int) -> None:
    assert Discount("FIXED", value, None).off(total) == (min(value, total))


@given(percent=PERCENTS, total=TOTALS)
def test_a_percent_discount_is_rounded_down_to_a_won(percent: int, total: int) -> None:
    off = Discount("PERCENT", percent, None).off(total)
    assert off * 100 <= total * percent < (off + 1) * 100


@given(percent=PERCENTS, cap=st.integers(min_value=1, max_value=10**12), total=TOTALS)
def test_a_percent_discount_stops_at_its_cap(percent: int, cap: int, total: int) -> None:
    uncapped = Discount("PERCENT", percent, None).off(total)
    assert Discount("PERCENT", percent, cap).off(total) == (min(uncapped, cap))


@pytest.mark.parametrize(
    ("kind", "value", "cap", "total", "off"),
    [
        ("FIXED", 1_000, None, 999, 999),
        ("FIXED", 1_000, None, 1_000, 1_000),
        ("FIXED", 1_000, None, 1_001, 1_000),
        ("PERCENT", 15, None, 999, 149),
        ("PERCENT", 33, None, 100, 33),
        ("PERCENT", 1, None, 99, 0),
        ("PERCENT", 1, None, 100, 1),
        ("PERCENT", 100, None, 12_345, 12_345),
        ("PERCENT", 50, 1_000, 1_999, 999),
        ("PERCENT", 50, 1_000, 2_000, 1_000),
        ("PERCENT", 50, 1_000, 2_002, 1_000),
        # Beyond what a float holds exactly.
        ("PERCENT", 7, None, 90_071_992_547_409_93, 6_305_039_478_318_69),
    ],
)
def test_examples_of_discounts(kind: str, value: int, cap: int | None, total: int, off: int) -> None:
    assert Discount(kind, value, cap).off(total) == off
