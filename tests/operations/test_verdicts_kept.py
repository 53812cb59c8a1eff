"""The stored results of `check_invariants`, and its repeated runs."""

import json
import signal
import threading
from datetime import timedelta
from io import StringIO
from types import SimpleNamespace

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from commerce.core import sql
from commerce.embedded.redis_server import Redis
from commerce.invariants.check import meanings
from commerce.invariants.findings import Findings, keep_verdict
from commerce.invariants.models import InvariantCheck
from commerce.management.commands import check_invariants
from tests.back_office.staff import Staff
from tests.breaking import kill
from tests.idempotency.test_purge_keys import connections_refused, let_in
from tests.operations.busy_shop import busy_shop
from tests.operations.test_check_invariants import CHAIN, LIVE, LOCKS, QUIET
from tests.outbox.manage import managed
from tests.shop_state import nothing_changes
from tests.together import another_session, wait_until, wait_until_blocked

pytestmark = pytest.mark.django_db(transaction=True)

VIEW = "invariants.view_invariantcheck"


def check(*arguments: str) -> int:
    """The exit code."""
    try:
        call_command("check_invariants", *arguments, stdout=StringIO(), stderr=StringIO())
    except CommandError as error:
        return error.returncode
    return 0


def newest() -> InvariantCheck:
    return InvariantCheck.objects.latest("id")


class TestKept:
    def test_a_sound_shop_stores_a_result(self) -> None:
        busy_shop()
        before = timezone.now()
        with nothing_changes():
            assert check() == 0
        verdict = InvariantCheck.objects.get()
        assert (verdict.holds, verdict.asked_count, verdict.violations, verdict.skipped) == (True, LIVE + LOCKS, [], [])
        assert (verdict.is_deep, verdict.is_quiet) == (False, False)
        assert before <= verdict.checked_at <= timezone.now()
        assert verdict.checked_at + timedelta(milliseconds=verdict.duration_ms - 1) <= timezone.now()

    def test_the_checked_rules_are_stored(self) -> None:
        busy_shop()
        assert check("--deep", "--quiet-system", "--json") == 0
        verdict = newest()
        assert (verdict.asked_count, verdict.is_deep, verdict.is_quiet) == (QUIET + LOCKS + CHAIN, True, True)

    def test_violations_are_stored(self) -> None:
        shop = busy_shop()
        sql.execute('UPDATE "user" SET balance = balance + 1 WHERE id = %s', [shop.mina.pk])
        assert check() == 1
        assert not newest().holds
        assert newest().violations == [
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
        ]

    def test_rules_that_could_not_run_are_stored(self, own_redis: Redis) -> None:
        kill(own_redis)
        assert check() == 0
        assert (newest().holds, newest().skipped, newest().asked_count) == (True, ["locks_expire"], LIVE)

    def test_storing_can_be_switched_off(self) -> None:
        assert check("--no-record") == 0
        assert not InvariantCheck.objects.exists()

    def test_a_read_only_database_is_checked_without_storing(self) -> None:
        shop = busy_shop()
        sql.execute('UPDATE "user" SET balance = balance + 1 WHERE id = %s', [shop.mina.pk])
        sql.execute("SET default_transaction_read_only = on")
        output = StringIO()
        try:
            with pytest.raises(CommandError, match=f"2 of {LIVE + LOCKS} invariants do not hold"):
                call_command("check_invariants", stdout=StringIO(), stderr=output)
        finally:
            sql.execute("SET default_transaction_read_only = off")
        assert "The result was not stored: cannot execute INSERT in a read-only transaction" in output.getvalue()
        assert not InvariantCheck.objects.exists()

    def test_the_oldest_are_deleted(self) -> None:
        for number in range(5):
            keep_verdict(Findings(), checked_at=timezone.now(), duration_seconds=number, is_deep=False, is_quiet=False,
                         kept=3)  # fmt: skip
        kept = InvariantCheck.objects.order_by("id").values_list("duration_ms", flat=True)
        assert list(kept) == [2_000, 3_000, 4_000]


class TestEvery:
    """`--every SECONDS`: a process that repeats the check."""

    OFTEN = ("check_invariants", "--every", "0.05")

    @pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
    def test_it_checks_until_sigterm(self, number: signal.Signals) -> None:
        shop = busy_shop()
        with managed(*self.OFTEN, "--json") as checking:
            wait_until(lambda: InvariantCheck.objects.filter(holds=True).count() >= 2, "two checks")
            sql.execute('UPDATE "user" SET balance = balance + 1 WHERE id = %s', [shop.mina.pk])
            wait_until(lambda: InvariantCheck.objects.filter(holds=False).exists(), "a check that finds it")
            assert checking.stop(number) == 0
        *turns, last = [line.strip() for line in checking.lines]
        assert last == "Checks stopped"
        verdicts = [json.loads(turn)["ok"] for turn in turns]
        assert verdicts == sorted(verdicts, reverse=True)
        assert verdicts[:2] == [True, True]
        assert verdicts[-1] is False

    def test_sigterm_interrupts_the_pause(self) -> None:
        with managed("check_invariants", "--every", "3600") as checking:
            wait_until(lambda: checking.printed(f"{LIVE + LOCKS} invariants hold"), "the first check")
            assert checking.stop() == 0

    def test_an_interrupted_check_stores_nothing(self) -> None:
        patient = {"DATABASE_LOCK_TIMEOUT_MS": "60000"}
        with another_session() as other:
            other.execute("LOCK TABLE coupon IN ACCESS EXCLUSIVE MODE")
            with managed(*self.OFTEN, environment=patient) as checking:
                wait_until_blocked()
                checking.process.send_signal(signal.SIGTERM)
                other.rollback()
                assert checking.process.wait(timeout=30) == 0
        assert not InvariantCheck.objects.exists()

    def test_a_database_outage_fails_one_run(self) -> None:
        with connections_refused(), managed(*self.OFTEN) as checking:
            wait_until(lambda: checking.printed("The books could not be checked"), "a turn without the database")
            let_in(allowed=True)
            wait_until(InvariantCheck.objects.exists, "a turn with it")
            assert checking.stop() == 0

    def test_long_checks_run_less_often(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Checks use at most a tenth of the time."""
        waits: list[float] = []
        moments = iter([0.0, 2.0, 62.0, 162.0])

        class Once(threading.Event):
            def wait(self, timeout: float | None = None) -> bool:
                assert timeout is not None
                waits.append(timeout)
                if len(waits) == 2:
                    self.set()
                return self.is_set()

        monkeypatch.setattr(check_invariants, "threading", SimpleNamespace(Event=Once))
        monkeypatch.setattr(check_invariants, "signal", SimpleNamespace(signal=lambda *_: None, SIGTERM=15, SIGINT=2))
        command = check_invariants.Command(stdout=StringIO(), stderr=StringIO())
        monkeypatch.setattr(command, "_check", lambda _stopping: Findings())
        monkeypatch.setattr(command, "_report", lambda _findings: None)
        monkeypatch.setattr(check_invariants, "time", SimpleNamespace(monotonic=lambda: next(moments)))
        command._keep_checking(60.0)
        assert waits == [60.0, 900.0]

    @pytest.mark.parametrize("seconds", ["0", "-1", "86401", "nan"])
    def test_2_for_an_invalid_interval(self, seconds: str) -> None:
        assert check(f"--every={seconds}") == 2


class TestPages:
    def test_a_result_is_shown_with_the_meaning_of_each_rule(self) -> None:
        shop = busy_shop()
        sql.execute('UPDATE "user" SET balance = balance + 1 WHERE id = %s', [shop.mina.pk])
        check("--deep")
        operator = Staff(VIEW)
        listed = operator.get("invariants_invariantcheck_changelist").content.decode()
        assert "balance_is_ledger_sum (1), money_neither_appears_nor_vanishes (1)" in listed
        page = operator.get("invariants_invariantcheck_change", newest().pk).content.decode()
        for shown in (
            "A balance is the sum of its ledger entries.",
            f"<li>user {shop.mina.pk}: balance 35001, ledger 35000</li>",
            "with every ledger entry hashed anew",
        ):
            assert shown in page

    def test_every_rule_has_a_meaning(self) -> None:
        busy_shop()
        output = StringIO()
        call_command("check_invariants", "--deep", "--quiet-system", stdout=output, no_color=True)
        assert {line.split()[0] for line in output.getvalue().splitlines()} == set(meanings())

    def test_results_are_read_only_and_require_a_permission(self) -> None:
        check()
        number = newest().pk
        operator, clerk = Staff(VIEW), Staff("orders.view_order")
        assert operator.get("invariants_invariantcheck_add").status_code == 403
        assert operator.post("invariants_invariantcheck_change", number, holds="").status_code == 403
        assert operator.post("invariants_invariantcheck_delete", number, post="yes").status_code == 403
        assert clerk.get("invariants_invariantcheck_changelist").status_code == 403
        assert clerk.get("invariants_invariantcheck_change", number).status_code == 403
        assert newest().holds
