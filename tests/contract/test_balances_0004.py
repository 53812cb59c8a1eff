"""Migration balances.0004 during payments: building its indexes blocks no writes.

A charge changes the account first, then the ledger. A transaction that locked both tables, the ledger first, would
cause a deadlock; the control does so.
"""

from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest
from django.db import OperationalError, connection
from django.db.migrations.loader import MigrationLoader
from psycopg import errors

from balances.models import LedgerEntry, User
from balances.services import charge_balance
from commerce.core import sql
from commerce.idempotency.commit import Idempotency
from tests.factories import UserFactory
from tests.together import another_session, meanwhile, wait_until, wait_until_blocked

pytestmark = pytest.mark.django_db(transaction=True)

BEFORE, MIGRATION = "0003_ledger_is_chained", "0004_staff_look_and_adjust"
INDEXES = ("user_balance_tx_time", "user_balance_tx_adjustments", "user_email")
BUILDING = "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND query LIKE 'CREATE INDEX CONC%%'"


def migrate() -> None:
    """Run the migration as `manage.py migrate` does, without later ones."""
    loader = MigrationLoader(connection)
    migration = loader.get_migration("balances", MIGRATION)
    with connection.schema_editor(atomic=migration.atomic) as editor:
        migration.apply(loader.project_state(("balances", BEFORE)), editor)


def valid_indexes() -> set[str]:
    """The migration's valid indexes; an interrupted index build leaves an invalid one."""
    found = sql.fetch_all(
        "SELECT relname FROM pg_class JOIN pg_index ON indexrelid = oid WHERE indisvalid AND relname = ANY(%s)",
        [list(INDEXES)],
    )
    return {name for (name,) in found}


@pytest.fixture
def customer() -> User:
    return UserFactory(balance=1_000)


@pytest.fixture(autouse=True)
def before_the_migration() -> Iterator[None]:
    """The indexes do not exist in the block, and exist afterwards."""
    for index in INDEXES:
        sql.execute(f"DROP INDEX {index}")
    yield
    for index in INDEXES:
        sql.execute(f"DROP INDEX IF EXISTS {index}")
    migrate()
    assert valid_indexes() == set(INDEXES)


def pay_first_half(session: "psycopg.Connection[Any]", customer: User) -> None:
    session.execute('UPDATE "user" SET balance = balance WHERE id = %s', [customer.pk])


def pay_second_half(session: "psycopg.Connection[Any]") -> None:
    """The table lock of an INSERT into the ledger."""
    session.execute("LOCK TABLE user_balance_tx IN ROW EXCLUSIVE MODE")


@contextmanager
def migrating(writer: "psycopg.Connection[Any]", customer: User) -> "Iterator[Future[None]]":
    """The migration runs and waits for an open payment, which ends with the block."""
    pay_first_half(writer, customer)
    with meanwhile(migrate) as migration:
        try:
            wait_until_blocked()
            yield migration
        finally:
            writer.rollback()


def test_it_waits_for_a_running_write(customer: User) -> None:
    with another_session() as writer, migrating(writer, customer) as migration:
        pay_second_half(writer)
        writer.commit()
        migration.result(timeout=30)
    assert valid_indexes() == set(INDEXES)


def test_other_customers_pay_while_it_waits(customer: User) -> None:
    another = UserFactory(balance=0)
    with another_session() as writer, migrating(writer, customer) as migration:
        charge_balance(user_id=another.pk, amount=500, idempotency=Idempotency.none())
        assert not migration.done()
        writer.commit()
        migration.result(timeout=30)
    assert list(LedgerEntry.objects.filter(user=another).values_list("amount", flat=True)) == [500]
    assert valid_indexes() == set(INDEXES)


def test_an_interrupted_run_can_be_repeated(customer: User) -> None:
    with another_session() as writer, migrating(writer, customer) as migration:
        [[pid]] = sql.fetch_all(BUILDING)
        sql.execute("SELECT pg_cancel_backend(%s::integer)", [pid])
        with pytest.raises(OperationalError, match="canceling statement"):
            migration.result(timeout=30)
        assert valid_indexes() < set(INDEXES)
        pay_second_half(writer)
        writer.commit()
    migrate()
    assert valid_indexes() == set(INDEXES)


def test_the_control_in_one_transaction_deadlocks(customer: User) -> None:
    with another_session() as migration, another_session() as writer:
        migration.execute("CREATE INDEX user_balance_tx_time ON user_balance_tx (created_at)")
        pay_first_half(writer, customer)

        def index_accounts() -> None:
            migration.execute('CREATE INDEX user_email ON "user" (upper(email))')

        with meanwhile(index_accounts) as indexed:
            wait_until_blocked()
            ended = []
            for half in (lambda: pay_second_half(writer), lambda: indexed.result(timeout=30)):
                try:
                    half()
                except errors.DeadlockDetected as error:
                    ended.append(error)
                    # PostgreSQL has aborted one of the two, so the other one continues.
                    writer.rollback()
            assert len(ended) == 1
    wait_until(lambda: valid_indexes() == set(), "the end of the control")
