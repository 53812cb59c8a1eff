"""The chaining of ledger entries, under the lock of their account."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any
from unittest import mock

import psycopg
import pytest
from django.db import IntegrityError, connection, transaction
from django.db.migrations.executor import MigrationExecutor
from django.utils import timezone

from balances.models import LedgerEntry, User
from balances.operations import Ledger, deposit, refund, will_move, withdraw
from balances.rules import START_OF_CHAIN, Account, Entry, entry_hash
from balances.services import charge_balance
from commerce.core import sql
from commerce.core.group import Group
from commerce.core.group_commit import commit
from commerce.core.transaction import Transaction
from commerce.idempotency.commit import Idempotency
from commerce.invariants.check import altered_ledgers
from tests.factories import UserFactory, charged
from tests.properties.clock import stopped_at
from tests.together import another_session, meanwhile, wait_until, wait_until_blocked

pytestmark = pytest.mark.django_db(transaction=True)


@dataclass(frozen=True)
class Move:
    """A write of one operation."""

    user_id: int
    decide: Callable[[Transaction], Entry]

    def locks(self) -> Sequence[str]:
        return ()

    def load(self, transaction: Transaction) -> None:
        will_move(transaction, self.user_id)


def chain(user: User) -> list[LedgerEntry]:
    """The account's entries, oldest first, after checking that each follows from the previous one."""
    entries = list(LedgerEntry.objects.filter(user=user).order_by("id"))
    previous: bytes | memoryview = START_OF_CHAIN
    for entry in entries:
        assert entry.entry_hash == entry.hash_after(previous)
        previous = entry.entry_hash
    user.refresh_from_db()
    assert user.ledger_head == previous
    return entries


def test_the_hash_is_that_of_the_documented_text() -> None:
    first = entry_hash(
        START_OF_CHAIN,
        entry_id=7,
        user_id=3,
        entry_type="CHARGE",
        amount=10_000,
        balance_after=10_000,
        order_id=None,
        created_at=datetime(2026, 1, 1, 0, 0, 0, 1, tzinfo=UTC),
    )
    assert first.hex() == "0d21b20cabab2839e5934224155d3d15f47b3c79bea3a385e047e45c34e0fd45"
    second = entry_hash(
        first,
        entry_id=9,
        user_id=3,
        entry_type="PAYMENT",
        amount=-4_000,
        balance_after=6_000,
        order_id=12,
        created_at=datetime(2026, 1, 1, 0, 0, 0, 2, tzinfo=UTC),
    )
    assert second.hex() == "1f751bee9db0e88f89f0c42f7f209ef111b4e34e7ca2872d13767464803a35b0"


@contextmanager
def session_of(zone: str) -> Iterator[None]:
    """Django's connection uses this time zone."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT set_config('TimeZone', %s, false)", [zone])
        cursor.execute("SET DateStyle = 'German'")
        cursor.execute("SET IntervalStyle = 'sql_standard'")
    try:
        yield
    finally:
        connection.close()


@pytest.mark.parametrize("zone", ["UTC", "Asia/Seoul", "America/St_Johns"])
def test_the_database_computes_the_hashes_of_python_in_any_session(zone: str) -> None:
    user = UserFactory()
    moments = [datetime(2026, 3, 1, 23, 59, 59, 999_999, tzinfo=UTC), datetime(1969, 12, 31, 1, 2, 3, 4, tzinfo=UTC)]
    for moment in moments:
        with stopped_at(moment):
            written = [
                commit(Move(user.pk, partial(deposit, user_id=user.pk, amount=10_000))),
                commit(Move(user.pk, partial(withdraw, user_id=user.pk, amount=4_000, order_id=moment.year))),
                commit(Move(user.pk, partial(refund, user_id=user.pk, amount=0, order_id=moment.year))),
            ]
        assert [entry.entry_hash for entry in written] == [entry.entry_hash for entry in chain(user)[-3:]]
        assert {entry.created_at for entry in chain(user)[-3:]} == {moment}
    with session_of(zone):
        assert altered_ledgers() is None


def test_an_account_without_entries_has_the_start_of_the_chain() -> None:
    assert chain(UserFactory()) == []
    assert altered_ledgers() is None


def test_a_stale_form_keeps_the_head() -> None:
    user = UserFactory(balance=1_000)
    opened = User.objects.get(pk=user.pk)
    charged(user)
    opened.email = "mina@example.com"
    opened.save()
    assert len(chain(user)) == 2
    assert user.email == "mina@example.com"


class TestTwoChargesOfOneAccount:
    """One waits for the row of the account, and must not draw its id or read the head before it has the row lock."""

    def wait_for_a_rival(self, user: User, is_waiting: Callable[[], object]) -> None:
        """Another transaction has the row lock; the charge starts, waits, and continues after the other COMMIT."""
        with another_session() as rival:
            rival.execute('SELECT FROM "user" WHERE id = %s FOR UPDATE', [user.pk])
            with meanwhile(lambda: charge_balance(user_id=user.pk, amount=500, idempotency=Idempotency.none())) as late:
                is_waiting()
                self.charge_by(rival, user, 700)
                rival.commit()
                assert late.result().amount == 500

    @staticmethod
    def charge_by(rival: "psycopg.Connection[Any]", user: User, amount: int) -> None:
        """Charge like another process that has the row lock."""
        row = rival.execute('SELECT balance, ledger_head FROM "user" WHERE id = %s', [user.pk]).fetchone()
        number = rival.execute("SELECT nextval('user_balance_tx_id_seq')").fetchone()
        assert row is not None
        assert number is not None
        account = Account(user.pk, row[0], row[1], is_active=True)
        entry = account.deposit(amount, limit=10**6, entry_id=number[0], now=timezone.now())
        rival.execute(
            "INSERT INTO user_balance_tx (id, user_id, type, amount, balance_after, created_at, entry_hash)"
            " VALUES (%s, %s, %s, %s, %s, %s, %s)",
            [entry.id, user.pk, entry.type, amount, entry.balance_after, entry.created_at, entry.entry_hash],
        )
        moved = [account.balance, account.ledger_head, user.pk]
        rival.execute('UPDATE "user" SET balance = %s, ledger_head = %s WHERE id = %s', moved)

    def test_are_chained_in_the_order_of_the_row_lock(self) -> None:
        user = UserFactory(balance=1_000)
        with mock.patch.object(Group, "_decide", autospec=True, side_effect=Group._decide) as tries:
            self.wait_for_a_rival(user, lambda: wait_until(lambda: tries.call_count > 1, "a second try"))
        assert [(entry.amount, entry.balance_after) for entry in chain(user)] == [
            (1_000, 1_000),
            (700, 1_700),
            (500, 2_200),
        ]
        assert altered_ledgers() is None

    def test_control_with_an_id_drawn_before_the_lock_order_is_lost(self) -> None:
        """The control: the id is drawn before the row lock."""
        user = UserFactory(balance=1_000)
        with (
            mock.patch.object(Ledger, "lock_order", 0),
            mock.patch.object(Transaction, "reads_without_waiting", Transaction.reads),
        ):
            self.wait_for_a_rival(user, wait_until_blocked)
        amounts = LedgerEntry.objects.order_by("id").values_list("amount", flat=True)
        assert list(amounts) == [1_000, 500, 700]
        violation = altered_ledgers()
        assert violation is not None
        assert violation.count == 2


@pytest.mark.parametrize(
    ("statement", "constraint"),
    [
        ("UPDATE \"user\" SET ledger_head = 'short'", "user_ledger_head_is_sha256"),
        (
            """
            INSERT INTO user_balance_tx (user_id, type, amount, balance_after, created_at, entry_hash)
            SELECT id, 'CHARGE', 1, 1, now(), 'short' FROM "user"
            """,
            "user_balance_tx_hash_is_sha256",
        ),
        (
            """
            INSERT INTO user_balance_tx (user_id, type, amount, balance_after, created_at)
            SELECT id, 'CHARGE', 1, 1, now() FROM "user"
            """,
            'null value in column "entry_hash"',
        ),
    ],
    ids=["head", "short hash", "no hash"],
)
def test_the_database_refuses_an_invalid_hash(statement: str, constraint: str) -> None:
    UserFactory()
    with pytest.raises(IntegrityError, match=constraint), transaction.atomic():
        sql.execute(statement)


class TestTheLedgerOfAnOlderVersion:
    """The migration adds existing entries to the chain."""

    @pytest.fixture
    def old_shop(self) -> Iterator[None]:
        self.migrate_back()
        yield
        self.migrate()

    def migrate_back(self) -> None:
        """Reverse the migration of the chain and all later ones."""
        MigrationExecutor(connection).migrate([("balances", "0002_ledger_is_append_only")])

    def migrate(self) -> None:
        """Apply all migrations again."""
        executor = MigrationExecutor(connection)
        executor.migrate(executor.loader.graph.leaf_nodes())

    def test_is_chained_by_the_migration_and_continues(self, old_shop: None) -> None:
        sql.execute(
            """
            INSERT INTO "user" (id, username, password, first_name, last_name, email, is_superuser, is_staff, is_active,
                                date_joined, balance)
            SELECT number, 'old' || number, '', '', '', '', false, false, true, now(), 6 * number
            FROM generate_series(0, 3) AS number
            """
        )
        sql.execute(
            """
            INSERT INTO user_balance_tx (user_id, type, amount, balance_after, order_id, created_at)
            SELECT account, CASE turn WHEN 3 THEN 'REFUND' ELSE 'CHARGE' END, 2 * account, 2 * account * turn,
                   CASE turn WHEN 3 THEN account END, now() + turn * interval '1 microsecond'
            FROM generate_series(1, 3) AS account, generate_series(1, 3) AS turn ORDER BY turn, account
            """
        )
        self.migrate()
        assert altered_ledgers() is None
        users = list(User.objects.filter(username__startswith="old").order_by("id"))
        assert [len(chain(user)) for user in users] == [0, 3, 3, 3]
        sql.execute("SELECT setval('user_balance_tx_id_seq', (SELECT max(id) FROM user_balance_tx))")
        for user in users:
            charged(user, 5)
        assert [len(chain(user)) for user in users] == [1, 4, 4, 4]
        with pytest.raises(IntegrityError, match="append-only"), transaction.atomic():
            sql.execute("UPDATE user_balance_tx SET amount = amount")

    def test_the_migration_can_be_reverted(self) -> None:
        user = UserFactory(balance=1_000)
        self.migrate_back()
        try:
            assert sql.fetch_all("SELECT amount, balance_after FROM user_balance_tx") == [(1_000, 1_000)]
        finally:
            self.migrate()
        assert len(chain(user)) == 1
