"""A group that reads its rows without a protection, for the controls of race tests.

Contains unprotected versions of `Group._read` and `LockedRows`. A meeting between read and write makes the race happen
every time.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest import mock

from commerce.core import group_commit
from commerce.core.group import Group, Member
from commerce.core.pipeline import BEGIN, Pipeline, Statement
from commerce.core.transaction import LockedRows, Transaction, array
from products.operations import Products
from tests.layers import RELATIVE_WRITES_OFF, ROW_LOCKS_OFF, switched_off

Meet = Callable[[], object]


@contextmanager
def after_reading(meet: Meet) -> Iterator[None]:
    """Each group attends `meet` after it has read all of its rows, before it decides. Row locks are not changed."""
    decide = Group._decide

    def decide_late(group: Group) -> list[Member]:
        if not _has_busy_rows(group._transaction):
            meet()
        return decide(group)

    with mock.patch.object(Group, "_decide", decide_late):
        yield


@contextmanager
def unlocked_rows(meet: Meet, *, absolute: bool = False) -> Iterator[None]:
    """Rows are read without a lock, and written after `meet`; `absolute`: with the values computed from those."""
    with ExitStack() as naive:
        naive.enter_context(switched_off(ROW_LOCKS_OFF))
        if absolute:
            naive.enter_context(switched_off(RELATIVE_WRITES_OFF))
        naive.enter_context(after_reading(meet))
        yield


@contextmanager
def slow_groups() -> Iterator[None]:
    """Every group counts as slow immediately, so that a write that arrives later gets another leader."""
    with mock.patch.object(group_commit, "_SLOW_SECONDS", 0.001):
        yield


@contextmanager
def products_in_the_order_of_the_cart(meet: Meet) -> Iterator[None]:
    """Products are locked one after the other as the cart names them, waiting for each; `meet` is after the first."""

    def read(group: Group, pipeline: Pipeline, deadline: float, *, advisory: bool) -> None:
        transaction = group._transaction
        for member in group._members:
            member.write.load(transaction)
        pipeline.run([BEGIN], deadline=deadline)
        products = transaction[Products]
        found = []
        for number, product_id in enumerate(products._wanted):
            [rows] = pipeline.run([Statement(products.LOCK, (array([product_id]),))], deadline=deadline)
            found += rows
            if number == 0:
                meet()
        others = [(table, statement) for table, statement in transaction.reads() if table is not products]
        answers = pipeline.run([statement for _, statement in others], deadline=deadline)
        products.accept(found)
        for (table, _), rows in zip(others, answers, strict=True):
            table.accept(rows)

    with mock.patch.object(Group, "_read", read):
        yield


def _has_busy_rows(transaction: Transaction) -> bool:
    tables: Sequence[Any] = list(transaction._tables.values())
    return any(table._busy for table in tables if isinstance(table, LockedRows))
