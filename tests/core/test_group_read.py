"""Simultaneous lookups share a statement, and each gets its own row."""

from collections.abc import Callable
from typing import Any

import pytest
from django.db import DataError, connection

from commerce.core import sql
from commerce.core.group_read import GroupRead, Row
from commerce.core.waiting import Signal
from products.models import Product
from tests.factories import ProductFactory
from tests.together import PATIENCE_SECONDS

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("connections_of_tasks")]

Run = Callable[..., list[Any]]


@pytest.fixture
def products() -> list[Product]:
    return [ProductFactory() for _ in range(5)]


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[list[int]]:
    """The ids of each executed statement."""
    asked: list[list[int]] = []
    fetch_all = sql.fetch_all

    def noted(statement: str, params: Any) -> list[Row]:
        asked.append(params[0])
        return fetch_all(statement, params)

    monkeypatch.setattr(sql, "fetch_all", noted)
    return asked


@pytest.fixture
def names() -> GroupRead:
    return GroupRead("SELECT id, name FROM product WHERE id = ANY(%s)")


def closing(lookup: Callable[[], Row | None]) -> Callable[[], Row | None]:
    def job() -> Row | None:
        try:
            return lookup()
        finally:
            connection.close()

    return job


def test_a_thread_reads_by_itself(names: GroupRead, products: list[Product], asked: list[list[int]]) -> None:
    assert names.row(products[0].pk) == (products[0].pk, products[0].name)
    assert names.row(products[-1].pk + 1) is None
    assert asked == [[products[0].pk], [products[-1].pk + 1]]


def test_simultaneous_tasks_share_a_statement(
    run: Run, names: GroupRead, products: list[Product], asked: list[list[int]]
) -> None:
    ids = [*(product.pk for product in products), products[0].pk, products[-1].pk + 1]
    rows = run(*(closing(lambda each=each: names.row(each)) for each in ids))  # type: ignore[misc]
    assert rows == [*((product.pk, product.name) for product in products), (products[0].pk, products[0].name), None]
    assert asked == [ids]


def test_a_task_after_the_statement_was_sent_sees_later_commits(
    run: Run, names: GroupRead, products: list[Product], asked: list[list[int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It does not join a statement that may have read already."""
    [product, *_] = products
    fetch_all = sql.fetch_all
    signals: dict[str, Signal] = {}

    def stopped_after_the_first(statement: str, params: Any) -> list[Row]:
        rows = fetch_all(statement, params)
        if len(asked) == 1:
            signals["go on"] = Signal()
            signals["has read"].set()
            assert signals["go on"].wait(PATIENCE_SECONDS)
        return rows

    monkeypatch.setattr(sql, "fetch_all", stopped_after_the_first)

    def late() -> Row | None:
        signals["has read"] = Signal()
        assert signals["has read"].wait(PATIENCE_SECONDS)
        Product.objects.filter(pk=product.pk).update(name="renamed")
        row = names.row(product.pk)
        signals["go on"].set()
        return row

    before = (product.pk, product.name)
    assert run(closing(lambda: names.row(product.pk)), closing(late)) == [before, (product.pk, "renamed")]


def test_an_error_is_raised_for_all_and_the_next_lookup_works(
    run: Run, names: GroupRead, products: list[Product]
) -> None:
    failing = GroupRead("SELECT id, 1 / (stock - stock) FROM product WHERE id = ANY(%s)")
    failed: list[int] = []

    def lookup(product_id: int) -> None:
        with pytest.raises(DataError):
            failing.row(product_id)
        failed.append(product_id)

    run(*(closing(lambda each=each: lookup(each.pk)) for each in products))  # type: ignore[misc]
    assert sorted(failed) == [product.pk for product in products]
    run(*(closing(lambda each=each: lookup(each.pk)) for each in products))  # type: ignore[misc]
    assert len(failed) == 2 * len(products)
