"""Rules of products: stock, and unusual prices."""

import copy
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from products.errors import OutOfStock, ProductNotFound, Shortage, TooManyUnits
from products.rules import (
    MOST_UNITS,
    StockedProduct,
    UnusualPrice,
    changed_by_percent,
    hold_all,
    stock_level,
    take_all,
    take_all_held,
    unusual_prices,
)

FREE, HIGH, JUMP = UnusualPrice


def product(number: int = 1, *, stock: int = 10, held: int = 3, is_active: bool = True, **moves: int) -> StockedProduct:
    made = StockedProduct(number, "Pen", 1_000, stock, is_active, held=held)
    for name, value in moves.items():
        setattr(made, name, value)
    return made


def test_units_that_are_not_held_are_taken() -> None:
    pen = product()
    pen.take(3)
    pen.take(4)
    assert pen == product(stock=3, moved=-7)


def test_held_units_are_not_taken() -> None:
    pen = product()
    with pytest.raises(OutOfStock) as refusal:
        pen.take(8)
    assert refusal.value.shortages == [Shortage(1, 8, 7, 3)]
    assert pen == product()


def test_units_that_are_not_held_are_held() -> None:
    pen = product()
    pen.hold(3)
    pen.hold(4)
    assert pen == product(held=10, newly_held=7)


def test_held_units_are_not_held_again() -> None:
    pen = product()
    with pytest.raises(OutOfStock) as refusal:
        pen.hold(8)
    assert refusal.value.shortages == [Shortage(1, 8, 7, 3)]
    assert pen == product()


def test_released_units_are_held_no_more_and_stay_in_stock() -> None:
    pen = product()
    pen.release(2)
    assert pen == product(held=1, newly_held=-2)


def test_held_units_that_are_taken_leave_the_stock() -> None:
    pen = product()
    pen.take_held(2)
    assert pen == product(stock=8, held=1, moved=-2, newly_held=-2)


def test_units_that_are_put_back_are_in_stock() -> None:
    pen = product()
    pen.put_back(2)
    assert pen == product(stock=12, moved=2)


@pytest.mark.parametrize(("delta", "stock"), [(-7, 3), (-1, 9), (0, 10), (1, 11), (MOST_UNITS - 10, MOST_UNITS)])
def test_a_correction_stays_between_what_is_held_and_the_most(delta: int, stock: int) -> None:
    pen = product()
    pen.adjust(delta)
    assert pen == product(stock=stock, moved=delta)


def test_a_correction_does_not_take_held_units() -> None:
    pen = product()
    with pytest.raises(OutOfStock) as refusal:
        pen.adjust(-8)
    assert refusal.value.shortages == [Shortage(1, 8, 7, 3)]
    assert pen == product()


def test_a_correction_above_the_most_names_the_stock_and_the_most() -> None:
    pen = product()
    with pytest.raises(TooManyUnits) as refusal:
        pen.adjust(MOST_UNITS - 9)
    assert (refusal.value.available, refusal.value.most) == (10, MOST_UNITS)
    assert pen == product()


OfSeveral = Callable[[Mapping[int, StockedProduct | None], Mapping[int, int]], None]


@pytest.mark.parametrize(
    ("step", "of_1", "of_2"),
    [
        (take_all, {"stock": 3, "moved": -7}, {"stock": 5, "moved": -5}),
        (hold_all, {"held": 10, "newly_held": 7}, {"held": 8, "newly_held": 5}),
        (
            take_all_held,
            {"stock": 3, "held": -4, "moved": -7, "newly_held": -7},
            {"stock": 5, "held": -2, "moved": -5, "newly_held": -5},
        ),
    ],
)
def test_each_product_moves_by_its_own_quantity(step: OfSeveral, of_1: dict[str, Any], of_2: dict[str, Any]) -> None:
    products = {1: product(), 2: product(2), 3: product(3)}
    step(products, {1: 7, 2: 5})
    assert products == {1: product(**of_1), 2: product(2, **of_2), 3: product(3)}


@pytest.mark.parametrize("step", [take_all, hold_all])
def test_every_shortage_is_named_in_the_order_of_the_products(step: OfSeveral) -> None:
    products = {number: product(number) for number in (1, 2, 3)}
    before = copy.deepcopy(products)
    with pytest.raises(OutOfStock) as refusal:
        step(products, {3: 8, 2: 7, 1: 9})
    assert refusal.value.shortages == [Shortage(1, 9, 7, 3), Shortage(3, 8, 7, 3)]
    assert products == before


@pytest.mark.parametrize("step", [take_all, hold_all, take_all_held])
@pytest.mark.parametrize("missing", [None, product(2, is_active=False)])
def test_a_product_that_is_not_for_sale_is_refused(step: OfSeveral, missing: StockedProduct | None) -> None:
    products = {1: product(), 2: missing}
    before = copy.deepcopy(products)
    with pytest.raises(ProductNotFound) as refusal:
        step(products, {1: 1, 2: 1})
    assert refusal.value.product_id == 2
    assert products == before


@pytest.mark.parametrize(("available", "level"), [(-1, "out"), (0, "out"), (1, "low"), (10, "low"), (11, "ok")])
def test_a_stock_is_low_from_ten_units_down(available: int, level: str) -> None:
    assert stock_level(available) == level


@pytest.mark.parametrize(
    ("price", "percent", "changed"),
    [
        (1_000, 10, 1_100),
        (1_000, -10, 900),
        (1_000, 0, 1_000),
        (50, 1, 51),
        (49, 1, 49),
        (50, -1, 50),
        (51, -1, 50),
        (1_000, -100, 0),
    ],
)
def test_a_price_changes_by_percent_and_half_a_won_is_rounded_up(price: int, percent: int, changed: int) -> None:
    assert changed_by_percent(price, percent) == changed


@pytest.mark.parametrize(
    ("price", "is_active", "price_before", "was_active", "unusual"),
    [
        (0, True, None, False, [FREE]),
        (0, True, 0, False, [FREE]),
        (0, True, 0, True, []),
        (0, True, 1_000, True, [FREE, JUMP]),
        (0, False, None, False, []),
        (1, True, None, False, []),
        (10_000_000, True, None, False, []),
        (10_000_001, True, None, False, [HIGH]),
        (10_000_001, True, 10_000_001, True, []),
        (10_000_001, True, 10_000_000, True, [HIGH]),
        (10_000_001, False, None, False, [HIGH]),
        (1_500, True, 1_000, True, []),
        (1_501, True, 1_000, True, [JUMP]),
        (500, True, 1_000, True, []),
        (499, True, 1_000, True, [JUMP]),
        (1, True, 0, True, [JUMP]),
    ],
)
def test_what_is_unusual_about_a_price(
    price: int, is_active: bool, price_before: int | None, was_active: bool, unusual: list[UnusualPrice]
) -> None:
    found = unusual_prices(price, is_active=is_active, price_before=price_before, was_active=was_active)
    assert found == unusual
