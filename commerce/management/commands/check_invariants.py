"""`manage.py check_invariants`: do the shop's books add up? Reads one snapshot of a live database, changes nothing."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson
from django.core.management.base import BaseCommand, CommandError, CommandParser
from tqdm import tqdm

from commerce.core.redis import RedisAway
from commerce.invariants.check import (
    EXAMPLES,
    altered_ledgers,
    invariants,
    number_of_accounts,
    snapshot,
    violation_of,
)
from commerce.invariants.ledger import LEDGER_UNALTERED
from commerce.invariants.locks import LOCKS_EXPIRE, endless_locks
from commerce.invariants.rule import Invariant, Rule, Violation


@dataclass
class Findings:
    """Which rules were asked, which of them do not hold, and which could not be asked."""

    asked: list[Rule] = field(default_factory=list)
    violations: dict[str, Violation] = field(default_factory=dict)
    skipped: list[Rule] = field(default_factory=list)

    def add(self, rule: Rule, violation: Violation | None) -> None:
        self.asked.append(rule)
        if violation:
            self.violations[rule.name] = violation


class Command(BaseCommand):
    help = "Checks every invariant of the shop in one snapshot. Exit code 1 where one does not hold."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--json", action="store_true", help="One JSON object instead of a table.")
        parser.add_argument(
            "--quiet-system",
            action="store_true",
            help="Nothing is under way: every message must have arrived and every order been counted.",
        )
        parser.add_argument(
            "--deep",
            action="store_true",
            help="Hash the whole ledger anew as well, and name every account whose entries were altered.",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        findings = Findings()
        with snapshot():
            _ask_database(invariants(quiet_system=options["quiet_system"]), findings)
            if options["deep"]:
                _hash_ledger(findings)
        self._ask_redis(findings)
        if options["json"]:
            self.stdout.write(_as_json(findings))
        else:
            self._print_table(findings)
        if findings.violations:
            raise CommandError(f"{len(findings.violations)} of {len(findings.asked)} invariants do not hold.")

    def _ask_redis(self, findings: Findings) -> None:
        try:
            findings.add(LOCKS_EXPIRE, endless_locks(examples=EXAMPLES))
        except RedisAway:
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
def _ask_database(rules: Sequence[Invariant], findings: Findings) -> None:
    for rule in tqdm(rules, desc="invariants", unit="rule", leave=False, disable=None):
        findings.add(rule, violation_of(rule))


def _hash_ledger(findings: Findings) -> None:
    total = number_of_accounts()
    with tqdm(total=total, desc=LEDGER_UNALTERED.name, unit="account", leave=False, disable=None) as progress:
        findings.add(LEDGER_UNALTERED, altered_ledgers(on_progress=progress.update))


def _as_json(findings: Findings) -> str:
    broken = [
        {"invariant": name, "count": violation.count, "examples": violation.examples}
        for name, violation in findings.violations.items()
    ]
    answer = {
        "ok": not broken,
        "checked": len(findings.asked),
        "violations": broken,
        "skipped": [rule.name for rule in findings.skipped],
    }
    return orjson.dumps(answer).decode()
