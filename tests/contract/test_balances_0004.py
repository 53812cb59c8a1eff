"""Migration balances.0004 beside customers who pay: its indexes wait for writes and hold none up.

A charge changes the account first and the ledger then. A transaction that locked both tables to index them, the ledger
first, would meet it in the middle; the control does so.
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
    """The migration as `manage.py migrate` runs it, without those that came later."""
    loader = MigrationLoader(connection)
    migration = loader.get_migration("balances", MIGRATION)
    with connection.schema_editor(atomic=migration.atomic) as editor:
        migration.apply(loader.project_state(("balances", BEFORE)), editor)


def valid_indexes() -> set[str]:
    """Of the migration's; an index that was not finished is there, but not valid."""
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
    """Its indexes are not there yet; afterwards they are."""
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
    """What an INSERT needs of the ledger."""
    session.execute("LOCK TABLE user_balance_tx IN ROW EXCLUSIVE MODE")


@contextmanager
def migrating(writer: "psycopg.Connection[Any]", customer: User) -> "Iterator[Future[None]]":
    """The migration waits for a customer who is in the middle of paying; at the end of the block it need not."""
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
                    # PostgreSQL has ended one of the two, so the other goes on.
                    writer.rollback()
            assert len(ended) == 1
    wait_until(lambda: valid_indexes() == set(), "the end of the control")
