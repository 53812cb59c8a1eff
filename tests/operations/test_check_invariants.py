"""`manage.py check_invariants`: its output, its exit code, and what it ignores."""

import json
import re
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.db import InternalError, connection, transaction

from commerce.core import redis_services, sql
from commerce.embedded.redis_server import Redis
from commerce.invariants.check import invariants, snapshot
from tests.breaking import kill
from tests.factories import UserFactory
from tests.operations.busy_shop import busy_shop
from tests.together import together

LIVE, QUIET = len(invariants(quiet_system=False)), len(invariants(quiet_system=True))
"""The number of rules that are checked in the database, for a running system and for an idle one."""
LOCKS = CHAIN = 1
"""One rule is checked in Redis; one, with `--deep`, hashes the ledger."""

pytestmark = pytest.mark.django_db(transaction=True)


def check(*arguments: str) -> tuple[int, str]:
    """The exit code and the output."""
    out = StringIO()
    try:
        call_command("check_invariants", *arguments, stdout=out, no_color=True)
    except CommandError as error:
        return error.returncode, out.getvalue()
    return 0, out.getvalue()


def one_space(table: str) -> str:
    """The table with single spaces: the padding depends on the longest name."""
    return re.sub(" +", " ", table)


def test_a_sound_shop_passes() -> None:
    busy_shop()
    assert check("--json", "--quiet-system") == (
        0,
        f'{{"ok":true,"checked":{QUIET + LOCKS},"violations":[],"skipped":[]}}\n',
    )
    code, table = check()
    assert code == 0
    assert len(table.splitlines()) == LIVE + LOCKS
    assert "balance_is_ledger_sum holds A balance is the sum of its ledger entries." in one_space(table)


def test_a_violation_is_printed_with_examples_and_exits_with_1() -> None:
    shop = busy_shop()
    sql.execute('UPDATE "user" SET balance = balance + 1 WHERE id = %s', [shop.mina.pk])
    code, printed = check("--json")
    assert code == 1
    assert json.loads(printed) == {
        "ok": False,
        "checked": LIVE + LOCKS,
        "violations": [
            {
                "invariant": "balance_is_ledger_sum",
                "count": 1,
                "examples": [f"user {shop.mina.pk}: balance 35001, ledger 35000"],
            },
            {
                "invariant": "money_neither_appears_nor_vanishes",
                "count": 1,
                "examples": ["the shop: balances 153001, ledger 153000"],
            },
        ],
        "skipped": [],
    }
    code, table = check()
    assert code == 1
    assert "balance_is_ledger_sum broken 1 x" in one_space(table)
    assert f"user {shop.mina.pk}: balance 35001, ledger 35000" in table


def test_many_cases_are_counted_and_ten_are_shown() -> None:
    for _ in range(13):
        UserFactory()
    sql.execute('UPDATE "user" SET balance = 1')
    _, printed = check("--json")
    first = json.loads(printed)["violations"][0]
    assert (first["count"], len(first["examples"])) == (13, 10)


def test_unfinished_work_only_counts_with_quiet() -> None:
    busy_shop()
    sql.execute("UPDATE outbox_message SET sent_at = NULL WHERE id = (SELECT max(id) FROM outbox_message)")
    assert check("--json")[0] == 0
    code, printed = check("--json", "--quiet-system")
    assert code == 1
    assert [violation["invariant"] for violation in json.loads(printed)["violations"]] == ["nothing_is_pending"]


def test_all_rules_run_in_one_read_only_snapshot() -> None:
    user = UserFactory()
    with snapshot():
        assert sql.fetch_one('SELECT count(*) FROM "user"') == (1,)
        together([lambda: UserFactory(username="late")])
        assert sql.fetch_one('SELECT count(*) FROM "user"') == (1,)
        with pytest.raises(InternalError, match="read-only transaction"), transaction.atomic():
            sql.execute('UPDATE "user" SET balance = 1 WHERE id = %s', [user.pk])
    assert sql.fetch_one('SELECT count(*) FROM "user"') == (2,)


def test_the_time_limits_are_lifted_for_the_snapshot_only() -> None:
    with snapshot():
        assert limits() == ["0", "0"]
    assert limits() == ["5s", "1min"]


def limits() -> list[str]:
    with connection.cursor() as cursor:
        shown = []
        for name in ("statement_timeout", "idle_in_transaction_session_timeout"):
            cursor.execute(f"SHOW {name}")
            shown.append(str(cursor.fetchone()[0]))
        return shown


class TestDeep:
    """`--deep` verifies the hashes of the ledger."""

    def test_a_sound_shop_passes(self) -> None:
        busy_shop()
        code, printed = check("--json", "--deep")
        assert code == 0
        assert json.loads(printed) == {"ok": True, "checked": LIVE + LOCKS + CHAIN, "violations": [], "skipped": []}

    def test_an_altered_ledger_is_named(self) -> None:
        shop = busy_shop()
        [[newest]] = sql.fetch_all("SELECT max(id) FROM user_balance_tx WHERE user_id = %s", [shop.sora.pk])
        sql.execute("UPDATE \"user\" SET ledger_head = sha256('') WHERE id = %s", [shop.sora.pk])
        assert check("--json")[0] == 0
        code, printed = check("--json", "--deep")
        assert code == 1
        finding = f"user {shop.sora.pk}: the head is not that of ledger entry {newest}, the newest"
        assert json.loads(printed)["violations"] == [
            {"invariant": "ledger_is_unaltered", "count": 1, "examples": [finding]}
        ]
        code, table = check("--deep")
        assert code == 1
        assert re.search(r"^ledger_is_unaltered +broken 1 x", table, re.MULTILINE)
        assert finding in table


class TestLocksInRedis:
    """A lock without an expiry would block its customer forever."""

    def test_a_lock_without_a_ttl_is_reported(self) -> None:
        redis_services.locks.call(lambda client: client.set("user:7:lock", "somebody", px=60_000))
        assert check("--json")[0] == 0
        redis_services.locks.call(lambda client: client.set("user:8:lock", "somebody"))
        redis_services.locks.call(lambda client: client.set("no-lock", "something"))
        code, printed = check("--json")
        assert code == 1
        assert json.loads(printed)["violations"] == [
            {"invariant": "locks_expire", "count": 1, "examples": ["user:8:lock: no time to live"]}
        ]

    def test_without_redis_the_check_is_reported_as_skipped(
        self, own_redis: Redis, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert json.loads(check("--json")[1])["skipped"] == []
        kill(own_redis)
        assert json.loads(check("--json")[1]) == {
            "ok": True,
            "checked": LIVE,
            "violations": [],
            "skipped": ["locks_expire"],
        }
        assert "SKIPPED locks_expire: Redis does not answer." in capsys.readouterr().err
        assert one_space(check()[1].splitlines()[-1]).startswith("locks_expire SKIPPED Every lock")
