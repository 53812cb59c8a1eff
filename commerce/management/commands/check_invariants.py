"""`manage.py check_invariants`: checks the invariants (`commerce.invariants`) in one snapshot and stores the result."""

import signal
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

import orjson
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import Error as DatabaseFailure
from django.db import connection
from django.utils import timezone
from tqdm import tqdm

from commerce.core.metrics_server import MetricsPortTaken, metrics_served
from commerce.core.redis_services import RedisUnavailable
from commerce.invariants.check import (
    EXAMPLES,
    altered_ledgers,
    invariants,
    number_of_accounts,
    snapshot,
    violation_of,
)
from commerce.invariants.findings import Findings, keep_verdict
from commerce.invariants.ledger import LEDGER_UNALTERED
from commerce.invariants.locks import LOCKS_EXPIRE, endless_locks
from commerce.invariants.rule import Invariant

LONGEST_WAIT_SECONDS = 86_400
LEAST_REST = 9
"""With `--every`, the pause after a check as a multiple of its duration: a tenth of the time is spent on checks."""


class Stopped(Exception):
    """The check was stopped before its end, so it has no result."""


class Command(BaseCommand):
    requires_system_checks = ()
    help = (
        "Check all invariants of the shop in one snapshot, and store the result for the back-office. Exit code 1 if "
        "one is violated. With --every: repeat the check until SIGTERM or Ctrl-C and exit with 0 in any case; while "
        "the database is unavailable, wait for the next check."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--json", action="store_true", help="Print JSON instead of a table; with --every, one object per check."
        )
        parser.add_argument(
            "--quiet-system",
            action="store_true",
            help="For an idle system: every message must be delivered and every order counted.",
        )
        parser.add_argument(
            "--deep",
            action="store_true",
            help="Also verify the hashes of the whole ledger, and report every account with altered entries.",
        )
        parser.add_argument("--no-record", action="store_true", help="Do not store the result.")
        parser.add_argument(
            "--every",
            type=float,
            metavar="SECONDS",
            help="Repeat the check at this interval in seconds, or less often if a check takes long.",
        )

        parser.add_argument(
            "--metrics-port",
            type=int,
            help="With --every: serve this process's metrics. 0: any free port.",
        )
        parser.add_argument(
            "--metrics-host", default="127.0.0.1", help="The address of the metrics (default %(default)s)."
        )

    def handle(self, *args: Any, **options: Any) -> None:
        self._options = options
        seconds: float | None = options["every"]
        if seconds is not None:
            try:
                with metrics_served(options["metrics_port"], host=options["metrics_host"]):
                    self._keep_checking(seconds)
            except MetricsPortTaken as taken:
                raise CommandError(str(taken)) from taken
            return
        findings = self._check(lambda: False)
        self._report(findings)
        if findings.violations:
            raise CommandError(f"{len(findings.violations)} of {len(findings.asked)} invariants do not hold.")

    def _keep_checking(self, every_seconds: float) -> None:
        if not 0 < every_seconds <= LONGEST_WAIT_SECONDS:
            raise CommandError(f"--every is above 0 and {LONGEST_WAIT_SECONDS:,} at most.", returncode=2)
        stopping = threading.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda _number, _frame: stopping.set())
        while not stopping.is_set():
            began = time.monotonic()
            try:
                self._report(self._check(stopping.is_set))
            except Stopped:
                break
            except DatabaseFailure as error:
                self.stderr.write(self.style.WARNING(f"The books could not be checked: {error}"))
            took_seconds = time.monotonic() - began
            # Until the next check it would only occupy a database connection.
            connection.close()
            stopping.wait(max(every_seconds, LEAST_REST * took_seconds))
        self.stdout.write("Checks stopped")

    def _check(self, stopping: Callable[[], bool]) -> Findings:
        """Check everything and store the result. Raises Stopped, and django.db.Error if the database fails."""
        quiet, deep = self._options["quiet_system"], self._options["deep"]
        findings = Findings()
        checked_at, began = timezone.now(), time.monotonic()
        with snapshot():
            _ask_database(invariants(quiet_system=quiet), findings, stopping)
            if deep:
                _hash_ledger(findings, stopping)
        self._ask_redis(findings)
        if not self._options["no_record"]:
            try:
                keep_verdict(
                    findings,
                    checked_at=checked_at,
                    duration_seconds=time.monotonic() - began,
                    is_deep=deep,
                    is_quiet=quiet,
                )
            except DatabaseFailure as error:
                # On a standby, or with a read-only role, the result is only printed.
                self.stderr.write(self.style.WARNING(f"The result was not stored: {error}"))
        return findings

    def _report(self, findings: Findings) -> None:
        if self._options["json"]:
            self.stdout.write(_as_json(findings))
        elif self._options["every"] is not None and not findings.violations:
            self.stdout.write(f"{len(findings.asked)} invariants hold")
        else:
            self._print_table(findings)

    def _ask_redis(self, findings: Findings) -> None:
        try:
            findings.add(LOCKS_EXPIRE, endless_locks(examples=EXAMPLES))
        except RedisUnavailable:
            findings.skipped.append(LOCKS_EXPIRE)
            self.stderr.write(self.style.WARNING(f"SKIPPED {LOCKS_EXPIRE.name}: Redis does not answer."))

    def _print_table(self, findings: Findings) -> None:
        width = max(len(rule.name) for rule in (*findings.asked, *findings.skipped))
        for rule in findings.asked:
            violation = findings.violations.get(rule.name)
            verdict = self.style.ERROR(f"broken {violation.count} x") if violation else self.style.SUCCESS("holds")
            self.stdout.write(f"{rule.name:<{width}}  {verdict}  {rule.meaning}")
            for example in violation.examples if violation else ():
                self.stdout.write(f"{'':<{width}}    {example}")
        for rule in findings.skipped:
            self.stdout.write(f"{rule.name:<{width}}  {self.style.WARNING('SKIPPED')}  {rule.meaning}")


# `disable=None`: progress is shown on a terminal only.
def _ask_database(rules: Sequence[Invariant], findings: Findings, stopping: Callable[[], bool]) -> None:
    for rule in tqdm(rules, desc="invariants", unit="rule", leave=False, disable=None):
        if stopping():
            raise Stopped
        findings.add(rule, violation_of(rule))


def _hash_ledger(findings: Findings, stopping: Callable[[], bool]) -> None:
    total = number_of_accounts()
    with tqdm(total=total, desc=LEDGER_UNALTERED.name, unit="account", leave=False, disable=None) as progress:

        def advance(accounts: int) -> None:
            progress.update(accounts)
            if stopping():
                raise Stopped

        findings.add(LEDGER_UNALTERED, altered_ledgers(on_progress=advance))


def _as_json(findings: Findings) -> str:
    broken = findings.violations_as_json()
    answer = {
        "ok": not broken,
        "checked": len(findings.asked),
        "violations": broken,
        "skipped": findings.skipped_names(),
    }
    return orjson.dumps(answer).decode()
