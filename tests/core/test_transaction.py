"""The tables of a transaction: rows are kept or undone, ids are drawn, and all writes are one statement."""

import time
from collections.abc import Iterator
from typing import Any

import orjson
import pytest

from balances.operations import Accounts, Ledger
from commerce.core import sql
from commerce.core.errors import LockTimeout
from commerce.core.locks import load, locked_transaction
from commerce.core.pipeline import Pipeline, Statement
from commerce.core.transaction import LockedRows, NewRows, RowBusy, Table, Transaction, array, as_json
from coupons.operations import Coupons, HeldCoupons
from orders.operations import Orders
from products.operations import Products, StockMovements
from products.rules import StockedProduct
from tests.factories import ProductFactory, UserFactory
from tests.together import PATIENCE_SECONDS, row_held

PEN = (1, "Pen", 1_200, 10, True)
CHAIR = (2, "Chair", 45_000, 2, True)


@pytest.fixture
def shared() -> Transaction:
    """A transaction that has read two products."""
    transaction = Transaction()
    transaction[Products].want([1, 2])
    transaction[Products].accept([PEN, CHAIR])
    return transaction


def product(shared: Transaction, product_id: int) -> StockedProduct:
    found = shared[Products].get(product_id)
    assert found is not None
    return found


class TestLockedRows:
    def test_are_objects_with_the_columns_that_were_read(self, shared: Transaction) -> None:
        assert product(shared, 1) == StockedProduct(*PEN)
        assert shared[Products].get(3) is None

    def test_that_are_kept_are_written(self, shared: Transaction) -> None:
        product(shared, 1).take(3)
        shared.keep()
        [statement] = shared.writes()
        [written] = orjson.loads(statement.parameters[0])
        assert (written["id"], written["stock"], written["moved"]) == (1, 7, -3)

    def test_that_are_undone_are_as_before(self, shared: Transaction) -> None:
        product(shared, 1).take(3)
        product(shared, 2).take(1)
        shared.undo()
        assert (product(shared, 1), product(shared, 2)) == (StockedProduct(*PEN), StockedProduct(*CHAIR))
        assert shared.writes() == []

    def test_of_a_refused_write_keep_what_the_writes_before_it_did(self, shared: Transaction) -> None:
        product(shared, 1).take(3)
        shared.keep()
        product(shared, 1).take(7)
        shared.undo()
        assert (product(shared, 1).stock, product(shared, 1).moved) == (7, -3)
        product(shared, 1).take(1)
        shared.keep()
        [written] = orjson.loads(shared.writes()[0].parameters[0])
        assert (written["stock"], written["moved"]) == (6, -4)

    def test_locked_by_another_transaction_are_busy(self) -> None:
        transaction = Transaction()
        transaction[Products].want([1, 2, 3])
        transaction[Products].accept([PEN])
        [(table, question)] = transaction.missing()
        assert question.parameters in ((b"{2,3}",), (b"{3,2}",))
        table.accept_busy([(2,)])
        with pytest.raises(RowBusy):
            transaction[Products].get(2)
        assert transaction[Products].get(3) is None
        assert issubclass(RowBusy, LockTimeout)

    def test_all_read_need_no_further_query(self, shared: Transaction) -> None:
        assert shared.missing() == []


class TestNewRows:
    def test_get_the_reserved_ids_in_ascending_order(self) -> None:
        ledger = Ledger()
        ledger.reserve(1)
        ledger.reserve(2)
        statement = ledger.read()
        assert statement is not None
        assert (statement.parameters, "nextval('user_balance_tx_id_seq')" in statement.sql) == ((b"3",), True)
        ledger.accept([(7,), (8,), (11,)])
        assert [ledger.next_id() for _ in range(3)] == [7, 8, 11]

    def test_that_need_no_id_draw_none(self) -> None:
        assert StockMovements().read() is None

    def test_that_are_undone_are_not_written(self) -> None:
        shared = Transaction()
        shared[StockMovements].add({"product_id": 1})
        shared.keep()
        shared[StockMovements].add({"product_id": 2})
        shared.undo()
        shared[StockMovements].add({"product_id": 3})
        shared.keep()
        [statement] = shared.writes()
        assert orjson.loads(statement.parameters[0]) == [{"product_id": 1}, {"product_id": 3}]


class TestWrites:
    def test_are_one_statement_for_any_number_of_tables(self, shared: Transaction) -> None:
        product(shared, 1).take(1)
        shared[StockMovements].add({"product_id": 1})
        shared[Accounts].accept([(5, 100, bytes(32), True)])
        account = shared[Accounts].get(5)
        assert account is not None
        account.balance += 1
        shared.keep()
        [statement] = shared.writes()
        assert statement.sql.count("UPDATE") == 2
        assert statement.sql.count("INSERT") == 1
        assert len(statement.parameters) == 3

    def test_without_changes_there_are_none(self, shared: Transaction) -> None:
        assert shared.writes() == []

    def test_come_after_deletions(self) -> None:
        class Renewed(NewRows):
            INSERT = "INSERT INTO renewed"

            def clear(self) -> Statement:
                return Statement("DELETE FROM renewed")

        shared = Transaction()
        shared[Renewed].add({})
        assert [statement.sql.split()[0] for statement in shared.writes()] == ["DELETE", "WITH"]


class TestReads:
    def test_are_in_lock_order(self) -> None:
        shared = Transaction()
        tables: tuple[type[LockedRows[Any]], ...] = (Accounts, HeldCoupons, Coupons, Products, Orders)
        for table in tables:
            shared[table].want([1])
        shared[Ledger].reserve(1)
        kinds = [type(table) for table, _ in shared.reads()]
        assert kinds == [Orders, Products, Coupons, HeldCoupons, Accounts, Ledger]

    def test_skip_locked_rows_but_not_ids(self) -> None:
        shared = Transaction()
        shared[Accounts].want([1])
        shared[Ledger].reserve(1)
        account, ledger = [statement.sql for _, statement in shared.reads_without_waiting()]
        assert account.split()[-2:] == ["SKIP", "LOCKED"]
        assert account.split()[-6:-2] == ["FOR", "NO", "KEY", "UPDATE"]
        assert "LOCKED" not in ledger

    def test_read_each_row_once(self) -> None:
        shared = Transaction()
        shared[Accounts].want([3, 1])
        shared[Accounts].want([1])
        assert shared[Accounts].read() == Statement(Accounts.LOCK, (b"{3,1}",))


class TestAfterwards:
    def test_callbacks_are_those_of_kept_writes(self) -> None:
        shared, done = Transaction(), []
        shared.afterwards(lambda: done.append("refused"))
        shared.undo()
        shared.afterwards(lambda: done.append("kept"))
        for then in shared.keep():
            then()
        assert shared.keep() == []
        assert done == ["kept"]

    def test_callbacks_of_tables_and_writes_run(self) -> None:
        moments: list[str] = []

        class Noted(Table):
            def committed(self) -> None:
                moments.append("table committed")

            def released(self) -> None:
                moments.append("table released")

        shared = Transaction()
        shared[Noted]
        shared.on_committed(lambda: moments.append("write committed"))
        for then in (*shared.committed(), *shared.released()):
            then()
        assert moments == ["table committed", "write committed", "table released"]


def test_arrays_and_bytes_are_spelled_as_postgresql_reads_them() -> None:
    assert array([]) == b"{}"
    assert array([1, 22, 2**63 - 1]) == b"{1,22,9223372036854775807}"
    assert orjson.loads(as_json([{"hash": b"\x00\xff"}])) == [{"hash": "\\x00ff"}]
    with pytest.raises(TypeError):
        as_json([object()])


@pytest.mark.django_db(transaction=True)
class TestOnRows:
    @pytest.fixture
    def pipeline(self) -> Iterator[Pipeline]:
        connected = Pipeline()
        yield connected
        connected.close()

    def test_a_locked_row_and_a_missing_row_are_left_out(self, pipeline: Pipeline) -> None:
        free, held = ProductFactory(), ProductFactory()
        shared = Transaction()
        shared[Products].want([free.pk, held.pk, 999_999_999])
        deadline = time.monotonic() + PATIENCE_SECONDS
        with row_held("product", held.pk):
            [(_, statement)] = shared.reads_without_waiting()
            [rows] = pipeline.run([statement], deadline=deadline)
            shared[Products].accept(rows)
            [(table, question)] = shared.missing()
            [busy] = pipeline.run([question], deadline=deadline)
            table.accept_busy(busy)
        assert product(shared, free.pk).name == free.name
        with pytest.raises(RowBusy):
            shared[Products].get(held.pk)
        assert shared[Products].get(999_999_999) is None

    def test_what_is_read_and_changed_is_written_beside_what_is_new(self) -> None:
        user = UserFactory(balance=100)
        with locked_transaction() as shared:
            shared[Accounts].want([user.pk])
            shared[Ledger].reserve(1)
            load(shared)
            account = shared[Accounts].get(user.pk)
            assert account is not None
            entry_id = shared[Ledger].next_id()
            shared[Ledger].add(account.deposit(5, limit=1_000, entry_id=entry_id, now=shared.now))
        assert sql.fetch_all('SELECT balance FROM "user"') == [(105,)]
        written = sql.fetch_all("SELECT id, amount, balance_after FROM user_balance_tx ORDER BY id DESC LIMIT 1")
        assert written == [(entry_id, 5, 105)]
