"""Archiving ledger entries: the invariants hold, also with concurrent charges and after a crash."""

from __future__ import annotations

import gzip
import json
import signal
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import timedelta
from functools import partial
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

import pytest
from django.db import IntegrityError, connection
from django.utils import timezone

from balances.models import LedgerEntry, User
from balances.services import charge_balance
from commerce.archive import ledger, pages
from commerce.archive.check import check_archive
from commerce.archive.ledger import LeavingEntries
from commerce.archive.models import ArchivedPage, LedgerCheckpoint
from commerce.archive.pages import Choice, archive
from commerce.core import sql
from commerce.idempotency.commit import Idempotency
from commerce.invariants.check import altered_ledgers
from tests.archive.conftest import all_is_delivered, archived, later
from tests.books import broken_rules
from tests.factories import UserFactory, charged
from tests.operations.busy_shop import busy_shop
from tests.outbox.manage import managed
from tests.together import together, wait_until

if TYPE_CHECKING:
    from datetime import datetime

pytestmark = pytest.mark.django_db(transaction=True)


def kept_ids() -> list[int]:
    return list(LedgerEntry.objects.order_by("id").values_list("id", flat=True))


def archived_ids(folder: Path) -> list[int]:
    """The ids of the entries in the recorded files."""
    names = ArchivedPage.objects.filter(table_name="user_balance_tx").order_by("id").values_list("file_name", flat=True)
    return [json.loads(line)["id"] for name in names for line in gzip.open(folder / name, "rt")]


def holds(folder: Path) -> bool:
    """Whether all invariants hold, and the files are valid."""
    assert check_archive(folder).findings == []
    assert broken_rules() == set()
    return True


class TestWhatLeaves:
    def test_the_invariants_hold_afterwards(self, folder: Path) -> None:
        shop = busy_shop()
        all_is_delivered()
        before = kept_ids()
        balances = dict(User.objects.values_list("id", "balance"))
        assert archived(folder, LeavingEntries()) == [len(before)]
        assert (kept_ids(), archived_ids(folder)) == ([], before)
        assert dict(User.objects.values_list("id", "balance")) == balances
        assert holds(folder)
        charge_balance(user_id=shop.mina.pk, amount=5_000, idempotency=Idempotency.none())
        charge_balance(user_id=UserFactory().pk, amount=700, idempotency=Idempotency.none())
        assert LedgerEntry.objects.get(user=shop.mina).balance_after == balances[shop.mina.pk] + 5_000
        assert holds(folder)

    def test_only_older_entries(self, folder: Path) -> None:
        now = timezone.now()
        user = UserFactory()
        old = [charged(user, 100, at=now - timedelta(days=day)).pk for day in (9, 8, 7)]
        young = [charged(user, 100, at=now - timedelta(days=day)).pk for day in (2, 1)]
        assert archived(folder, LeavingEntries(), before=now - timedelta(days=7)) == [2]
        assert kept_ids() == [old[2], *young]
        assert LedgerCheckpoint.objects.get().balance == 200
        assert holds(folder)
        assert archived(folder, LeavingEntries(), before=now - timedelta(days=1, hours=1)) == [2]
        assert (kept_ids(), archived_ids(folder)) == ([young[1]], [*old, young[0]])
        assert holds(folder)

    def test_entries_after_one_that_stays_are_kept(self, folder: Path) -> None:
        """The clock of the database was set back: the remaining chain must not have a gap."""
        now = timezone.now()
        user = UserFactory()
        stays = [charged(user, 100, at=now - timedelta(days=day)).pk for day in (1, 9)]
        assert archived(folder, LeavingEntries(), before=now - timedelta(days=7)) == [0]
        assert kept_ids() == stays

    def test_an_entry_whose_message_waits_stays(self, folder: Path) -> None:
        first = charged(UserFactory(), 100).pk
        charge_balance(user_id=UserFactory().pk, amount=100, idempotency=Idempotency.none())
        charged(UserFactory(), 100)
        assert archived(folder, LeavingEntries()) == [1]
        assert archived_ids(folder) == [first]
        assert broken_rules() == set()
        all_is_delivered()
        assert archived(folder, LeavingEntries()) == [2]
        assert holds(folder)

    def test_page_by_page(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(pages, "PAGE_SIZE", 2)
        users = [UserFactory(), UserFactory()]
        entries = [charged(users[number % 2], 100).pk for number in range(5)]
        sizes: list[int] = []
        assert archive(LeavingEntries(), before=later(), folder=folder, on_page=sizes.append) == 5
        assert sizes == [2, 2, 1]
        assert archived_ids(folder) == entries
        assert [page.row_count for page in ArchivedPage.objects.order_by("id")] == sizes
        assert holds(folder)

    def test_it_stops_between_pages(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(pages, "PAGE_SIZE", 2)
        for _ in range(5):
            charged(UserFactory(), 100)
        stopping = threading.Event()
        moved = archive(
            LeavingEntries(), before=later(), folder=folder, stopping=stopping.is_set, on_page=lambda _: stopping.set()
        )
        assert (moved, len(kept_ids())) == (2, 3)
        assert holds(folder)


class TestTheDatabaseRefuses:
    def test_deleting_entries_beyond_the_checkpoint(self, folder: Path) -> None:
        user = UserFactory()
        first, second = charged(user, 100), charged(user, 50)
        with pytest.raises(IntegrityError, match="append-only"):
            LedgerEntry.objects.filter(pk=first.pk).delete()
        archived(folder, LeavingEntries(), before=second.created_at)
        with pytest.raises(IntegrityError, match="append-only"):
            LedgerEntry.objects.filter(pk=second.pk).delete()
        with pytest.raises(IntegrityError, match="append-only"):
            LedgerEntry.objects.filter(pk=second.pk).update(amount=1)
        assert kept_ids() == [second.pk]

    @pytest.mark.parametrize(
        "change",
        [
            "UPDATE ledger_checkpoint SET balance = balance + 1",
            "UPDATE ledger_checkpoint SET entry_hash = sha256('')",
            "UPDATE ledger_checkpoint SET covers_until = 'infinity'",
            "UPDATE ledger_checkpoint SET entry_id = entry_id + 1, balance = balance + 1",
            "DELETE FROM ledger_checkpoint",
        ],
    )
    def test_a_checkpoint_without_an_entry(self, folder: Path, change: str) -> None:
        user = UserFactory()
        charged(user, 100)
        archived(folder, LeavingEntries())
        charged(user, 50)
        kept = LedgerCheckpoint.objects.values_list().get()
        with pytest.raises(IntegrityError, match="checkpoint of the ledger"):
            sql.execute(change)
        assert LedgerCheckpoint.objects.values_list().get() == kept


class TestTheAuditFinds:
    """An attacker with all privileges disables the triggers."""

    @pytest.mark.parametrize(
        ("damage", "rules"),
        [
            (
                "UPDATE ledger_checkpoint SET balance = balance + 1",
                {"balance_is_ledger_sum", "ledger_is_a_chain", "money_neither_appears_nor_vanishes"},
            ),
            ("UPDATE ledger_checkpoint SET entry_hash = sha256('')", {"ledger_is_unaltered"}),
            (
                "DELETE FROM ledger_checkpoint",
                {
                    *("balance_is_ledger_sum", "ledger_is_a_chain", "money_neither_appears_nor_vanishes"),
                    "ledger_is_unaltered",
                },
            ),
        ],
    )
    def test_an_altered_checkpoint(self, folder: Path, damage: str, rules: set[str]) -> None:
        user = UserFactory()
        charged(user, 100)
        archived(folder, LeavingEntries())
        entry = charged(user, 50)
        with trigger_off():
            sql.execute(damage)
        assert broken_rules() == rules
        assert check_archive(folder).findings == [f"user {user.pk}: the archive ends elsewhere than its checkpoint"]
        if rules >= {"ledger_is_unaltered"}:
            violation = altered_ledgers()
            assert violation is not None
            assert f"ledger entry {entry.pk} does not follow from" in violation.examples[0]

    def test_a_head_that_differs_from_its_checkpoint(self, folder: Path) -> None:
        user = UserFactory()
        entry = charged(user, 100)
        archived(folder, LeavingEntries())
        sql.execute("UPDATE \"user\" SET ledger_head = sha256('')")
        violation = altered_ledgers()
        assert violation is not None
        assert violation.examples == [f"user {user.pk}: the head is not that of ledger entry {entry.pk}, the newest"]

    def test_missing_or_altered_files(self, folder: Path) -> None:
        user = UserFactory()
        charged(user, 100)
        archived(folder, LeavingEntries())
        charged(user, 50)
        archived(folder, LeavingEntries())
        first, second = sorted(folder.glob("*.jsonl.gz"))
        lines = gzip.decompress(first.read_bytes()).replace(b'"amount":100', b'"amount":900')
        original = first.read_bytes()
        first.write_bytes(gzip.compress(lines, mtime=0))
        assert f"{first.name}: its SHA-256 is another" in check_archive(folder).findings
        first.write_bytes(original)
        second.unlink()
        assert f"{second.name}: No such file or directory" in check_archive(folder).findings

    def test_an_entry_altered_before_archiving(self, folder: Path) -> None:
        user = UserFactory()
        first, _second = charged(user, 100), charged(user, 50)
        with trigger_off("user_balance_tx", "user_balance_tx_is_append_only"):
            sql.execute(
                "UPDATE user_balance_tx SET created_at = created_at - interval '1 hour' WHERE id = %s", [first.pk]
            )
        archived(folder, LeavingEntries())
        assert check_archive(folder).findings == [
            f"user {user.pk}: archived entry {first.pk} does not follow from the one before"
        ]


@contextmanager
def trigger_off(table: str = "ledger_checkpoint", name: str = "ledger_checkpoint_is_an_entry") -> Iterator[None]:
    sql.execute(f"ALTER TABLE {table} DISABLE TRIGGER {name}")
    try:
        yield
    finally:
        sql.execute(f"ALTER TABLE {table} ENABLE TRIGGER {name}")


class TestBesideCharges:
    def test_thirty_customers_charge_during_archiving(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(pages, "PAGE_SIZE", 7)
        users = [UserFactory() for _ in range(10)]
        for user in users * 3:
            charged(user, 100)
        old = kept_ids()

        def charge(user: User) -> None:
            charge_balance(user_id=user.pk, amount=1_000, idempotency=Idempotency.none())

        def leave() -> None:
            archived(folder, LeavingEntries())

        charges: list[Callable[[], None]] = [partial(charge, user) for user in users * 3]
        together([leave, *charges, leave])
        assert archived_ids(folder) == old
        assert len(kept_ids()) == 30
        assert set(User.objects.values_list("balance", flat=True)) == {3_300}
        assert holds(folder)

    def test_a_charge_between_choice_and_checkpoint(self, folder: Path) -> None:
        user = UserFactory()
        charged(user, 100)
        archived(folder, ChargedMeanwhile(user))
        assert broken_rules() == set()
        assert LedgerCheckpoint.objects.get().balance == 100

    def test_control_with_the_accounts_balance_the_chain_breaks(
        self, folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The control: the checkpoint gets the account's current balance, which only the trigger would refuse."""
        naive = ledger.MOVE_CHECKPOINTS.replace(
            "user_id, id, balance_after, entry_hash,",
            'user_id, id, (SELECT balance FROM "user" WHERE id = user_id),'
            ' (SELECT ledger_head FROM "user" WHERE id = user_id),',
        )
        assert naive != ledger.MOVE_CHECKPOINTS
        monkeypatch.setattr(ledger, "MOVE_CHECKPOINTS", naive)
        user = UserFactory()
        charged(user, 100)
        with pytest.raises(IntegrityError, match="checkpoint of the ledger"):
            archived(folder, ChargedMeanwhile(user))
        assert broken_rules() == set()
        with trigger_off():
            archived(folder, ChargedMeanwhile(user))
        assert broken_rules() >= {"balance_is_ledger_sum", "ledger_is_unaltered"}

    def test_four_concurrent_runs_archive_each_entry_once(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(pages, "PAGE_SIZE", 3)
        for _ in range(20):
            charged(UserFactory(), 100)
        old = kept_ids()
        moved = together([lambda: archived(folder, LeavingEntries())] * 4)
        assert sum(count for [count] in moved) == 20
        assert archived_ids(folder) == old
        assert holds(folder)

    def test_control_without_the_lock_two_archive_the_same(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(pages, "TAKE_TURN", "SELECT 1")
        for _attempt in range(10):
            charged(UserFactory(), 100)
            both = threading.Barrier(2)
            try:
                together([partial(archived, folder, ChosenTogether(both))] * 2)
            except IntegrityError:
                return
        pytest.fail("Of ten pairs none took the same entry.")


class ChargedMeanwhile(LeavingEntries):
    """The customer charges 1,000 won after the entries to archive are chosen."""

    def __init__(self, user: User) -> None:
        self._user = user

    def choose(self, *, before: datetime, after: int, most: int) -> Choice:
        chosen = super().choose(before=before, after=after, most=most)
        together([lambda: charge_balance(user_id=self._user.pk, amount=1_000, idempotency=Idempotency.none())])
        return chosen


class ChosenTogether(LeavingEntries):
    """Both runs have chosen their rows before one continues."""

    def __init__(self, both: threading.Barrier) -> None:
        self._both = both

    def choose(self, *, before: datetime, after: int, most: int) -> Choice:
        chosen = super().choose(before=before, after=after, most=most)
        self._both.wait(timeout=30)
        return chosen


class Died(BaseException):
    """The process ends here."""


class TestItDiesAnywhere:
    # A killed process does not close its files.
    @pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
    def test_at_any_line(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Each entry is in the database or in exactly one recorded file; the next run archives the rest."""
        monkeypatch.setattr(pages, "PAGE_SIZE", 2)
        users = [UserFactory(), UserFactory()]
        deaths = 0
        while True:
            for user in (*users, users[0]):
                charged(user, 100)
            everything = sorted([*kept_ids(), *archived_ids(folder)])
            try:
                archived_until_line(deaths + 1, folder)
            except Died:
                deaths += 1
            else:
                break
            assert sorted([*kept_ids(), *archived_ids(folder)]) == everything
            assert max(Counter(archived_ids(folder)).values(), default=1) == 1
            if deaths % 25 == 0:
                assert holds(folder)
        assert deaths > 40
        assert kept_ids() == []
        assert holds(folder)

    def test_killed_during_a_run(self, folder: Path) -> None:
        users = [UserFactory() for _ in range(3)]
        for user in users:
            charged(user, 100, at=timezone.now() - timedelta(days=30))
        sql.execute(MANY_MORE, [users[0].pk])
        everything = kept_ids()
        environment = {"ARCHIVE_DIR": str(folder), "LEDGER_RETENTION_DAYS": "10"}
        with managed("archive", environment=environment) as archiving:
            wait_until(ArchivedPage.objects.exists, "the first page")
            archiving.process.send_signal(signal.SIGKILL)
            archiving.process.wait(timeout=30)
        wait_until(nobody_archives, "the end of the killed session")
        assert sorted([*kept_ids(), *archived_ids(folder)]) == everything
        assert broken_rules() == set()
        assert check_archive(folder).findings == []
        archived(folder, LeavingEntries())
        assert archived_ids(folder) == everything
        assert holds(folder)


# Charges of one won each after the account's newest entry, with hashes as in docs/ledger.md.
MANY_MORE = """
    WITH RECURSIVE chain AS (
        SELECT account.id AS user_id, balance, ledger_head AS hash, 0::bigint AS id, created_at, 0 AS number
        FROM "user" AS account JOIN user_balance_tx ON user_id = account.id WHERE account.id = %s
        UNION ALL
        SELECT user_id, balance + 1,
               sha256(hash || convert_to(next.id || '|' || user_id || '|CHARGE|1|' || (balance + 1) || '||'
                      || trunc(extract(epoch FROM created_at) * 1000000), 'UTF8')),
               next.id, created_at, number + 1
        FROM chain, LATERAL (SELECT nextval('user_balance_tx_id_seq') + 0 * number AS id) AS next
        WHERE number < 8000
    ), added AS (
        INSERT INTO user_balance_tx (id, user_id, type, amount, balance_after, created_at, entry_hash)
        SELECT id, user_id, 'CHARGE', 1, balance, created_at, hash FROM chain WHERE number > 0
    )
    UPDATE "user" SET balance = chain.balance, ledger_head = hash FROM chain
    WHERE number = 8000 AND "user".id = chain.user_id
"""


def nobody_archives() -> bool:
    row = sql.fetch_one(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND application_name LIKE %s",
        ["commerce-archive%"],
    )
    return row == (0,)


def archived_until_line(number: int, folder: Path) -> None:
    """Archive, and raise `Died` before this line, counted from 1, of the executed lines of `commerce.archive`.

    Runs in a separate thread and session, which end without cleanup.
    """
    left = number

    def count(frame: FrameType, event: str, _argument: Any) -> Any:
        nonlocal left
        if "/commerce/archive/" not in frame.f_code.co_filename:
            return None
        if event == "line":
            left -= 1
            if left == 0:
                raise Died
        return count

    def run() -> None:
        sys.settrace(count)
        try:
            archived(folder, LeavingEntries())
        finally:
            sys.settrace(None)
            if connection.connection is not None:
                connection.connection.close()

    with ThreadPoolExecutor(1) as pool:
        pool.submit(run).result()
