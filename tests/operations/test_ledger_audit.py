"""The hash chain of the ledger: every alteration of an account's entries is found and reported."""

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.conf import settings
from django.db import connection, transaction

from balances.services import charge_balance
from commerce.core import sql
from commerce.idempotency.commit import Idempotency
from commerce.invariants.check import altered_ledgers, invariants, violation_of
from tests.factories import UserFactory, charged
from tests.operations.busy_shop import BusyShop, busy_shop
from tests.operations.ledger_damages import (
    LEDGER_DAMAGES,
    MAKE_HASH_FIT,
    MAKE_HEAD_FIT,
    PERFECT_FORGERY,
    LedgerDamage,
)

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def shop() -> Iterator[BusyShop]:
    """A shop that the test damages, with disabled triggers; everything is rolled back."""
    shop = busy_shop()
    with transaction.atomic():
        yield shop
        transaction.set_rollback(True)


def do(damage: LedgerDamage, shop: BusyShop) -> dict[str, int]:
    """Run the damage with the trigger disabled; returns the values of its placeholders."""
    first, second, third = (row[0] for row in ledger_ids(shop.sora.pk))
    names = {"sora": shop.sora.pk, "first": first, "second": second, "third": third, "between": third - 1}
    # Rows of a test are not committed, so their foreign keys are still unchecked.
    connection.check_constraints()
    sql.execute("ALTER TABLE user_balance_tx DISABLE TRIGGER user_balance_tx_is_append_only")
    for statement in damage.sql.format(**names).split(";"):
        sql.execute(statement)
    if damage.hash_made_to_fit:
        sql.execute(MAKE_HASH_FIT, [names[damage.hash_made_to_fit]])
    if damage.head_made_to_fit:
        sql.execute(MAKE_HEAD_FIT, [names["third"]])
    return names


def ledger_ids(user_id: int) -> list[tuple[int]]:
    return sql.fetch_all("SELECT id FROM user_balance_tx WHERE user_id = %s ORDER BY id", [user_id])


def broken_without_hashing() -> list[str]:
    found = [violation_of(invariant) for invariant in invariants(quiet_system=False)]
    return [violation.invariant.name for violation in found if violation]


def test_an_unaltered_ledger_passes(shop: BusyShop) -> None:
    assert altered_ledgers() is None


@pytest.mark.parametrize("damage", LEDGER_DAMAGES, ids=lambda damage: damage.name.replace(" ", "-"))
def test_an_altered_ledger_is_found_by_the_hashes_only(shop: BusyShop, damage: LedgerDamage) -> None:
    names = do(damage, shop)
    # The id of the event also contains the time of the entry.
    also_by = {"events_have_facts", "facts_have_messages"} if "created_at" in damage.sql else set()
    assert set(broken_without_hashing()) <= also_by
    violation = altered_ledgers()
    assert violation is not None
    finding = damage.finding.format(**names)
    assert any(example.startswith(finding) for example in violation.examples), violation.examples
    assert {example.split(":")[0] for example in violation.examples} == {f"user {shop.sora.pk}"}


def test_every_account_is_checked_once() -> None:
    users = [UserFactory(balance=1_000) for _ in range(5)]
    for user in users:
        charged(user)
    sql.execute("UPDATE \"user\" SET ledger_head = sha256('') WHERE id = ANY(%s)", [[user.pk for user in users[1:]]])
    seen: list[int] = []
    violation = altered_ledgers(on_progress=seen.append, at_once=2)
    assert violation is not None
    assert (violation.count, seen) == (4, [2, 2, 1])
    assert [example.split(":")[0] for example in violation.examples] == [f"user {user.pk}" for user in users[1:]]


def test_only_ten_of_many_are_shown() -> None:
    for _ in range(13):
        UserFactory(balance=1_000)
    sql.execute("UPDATE \"user\" SET ledger_head = sha256('')")
    violation = altered_ledgers(at_once=6)
    assert violation is not None
    assert (violation.count, len(violation.examples)) == (13, 10)


class TestAStrangerWithAnExport:
    """An audit as described in docs/ledger.md."""

    page = (Path(settings.BASE_DIR) / "docs" / "ledger.md").read_text(encoding="utf-8")

    def export(self, folder: Path) -> None:
        ledger, heads = re.findall(r"^\\copy (.+?) to '", self.page, re.MULTILINE)
        for name, query in (("ledger.csv", ledger), ("heads.csv", heads)):
            copy = f"COPY {query} TO STDOUT WITH (FORMAT csv, HEADER)"
            with connection.cursor() as cursor, cursor.copy(copy) as rows, (folder / name).open("wb") as file:
                file.writelines(rows)

    def verdict(self, folder: Path) -> str:
        [script] = re.findall(r"```python\n(.+?)```", self.page, re.DOTALL)
        ran = subprocess.run(  # noqa: S603  # the page's own lines
            [sys.executable, "-I", "-c", script], cwd=folder, capture_output=True, text=True, check=False, timeout=60
        )
        return (ran.stdout + ran.stderr).strip()

    def test_finds_nothing_in_a_valid_shop(self, shop: BusyShop, tmp_path: Path) -> None:
        self.export(tmp_path)
        entries = sql.fetch_all("SELECT count(*) FROM user_balance_tx")[0][0]
        assert self.verdict(tmp_path) == f"{entries} entries, every hash and every head fits"

    @pytest.mark.parametrize("damage", LEDGER_DAMAGES, ids=lambda damage: damage.name.replace(" ", "-"))
    def test_finds_what_check_invariants_finds(self, shop: BusyShop, tmp_path: Path, damage: LedgerDamage) -> None:
        do(damage, shop)
        self.export(tmp_path)
        assert f"account {shop.sora.pk}" in self.verdict(tmp_path)

    def test_finds_a_complete_forgery_by_earlier_heads(self, shop: BusyShop, tmp_path: Path) -> None:
        """The control: it cannot be detected from the database alone."""
        self.export(tmp_path)
        heads = (tmp_path / "heads.csv").read_bytes()
        charge_balance(user_id=shop.mina.pk, amount=1_000, idempotency=Idempotency.none())
        names = do(PERFECT_FORGERY, shop)
        assert broken_without_hashing() == []
        assert altered_ledgers() is None
        self.export(tmp_path)
        assert "fits" in self.verdict(tmp_path)
        (tmp_path / "heads.csv").write_bytes(heads)
        assert self.verdict(tmp_path) == f"account {names['sora']}: its exported head is not in its chain"
