"""`manage.py check_invariants`: do the shop's books add up? Reads one snapshot of a live database, changes nothing."""

from collections.abc import Sequence
from typing import Any

import orjson
from django.core.management.base import BaseCommand, CommandError, CommandParser
from tqdm import tqdm

from commerce.invariants.check import invariants, snapshot, violation_of
from commerce.invariants.rule import Invariant, Violation


class Command(BaseCommand):
    help = "Checks every invariant of the shop in one snapshot. Exit code 1 where one does not hold."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--json", action="store_true", help="One JSON object instead of a table.")
        parser.add_argument(
            "--quiet-system",
            action="store_true",
            help="Nothing is under way: every message must have arrived and every order been counted.",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        rules = invariants(quiet_system=options["quiet_system"])
        violations: dict[str, Violation] = {}
        with snapshot():
            # `disable=None`: progress is shown on a terminal only.
            for rule in tqdm(rules, desc="invariants", unit="rule", leave=False, disable=None):
                if violation := violation_of(rule):
                    violations[rule.name] = violation
        if options["json"]:
            self.stdout.write(_as_json(rules, violations))
        else:
            self._print_table(rules, violations)
        if violations:
            raise CommandError(f"{len(violations)} of {len(rules)} invariants do not hold.")

    def _print_table(self, rules: Sequence[Invariant], violations: dict[str, Violation]) -> None:
        width = max(len(rule.name) for rule in rules)
        for rule in rules:
            violation = violations.get(rule.name)
            verdict = self.style.ERROR(f"broken {violation.count} x") if violation else self.style.SUCCESS("holds")
            self.stdout.write(f"{rule.name:<{width}}  {verdict}  {rule.meaning}")
            for example in violation.examples if violation else ():
                self.stdout.write(f"{'':<{width}}    {example}")


def _as_json(rules: Sequence[Invariant], violations: dict[str, Violation]) -> str:
    broken = [
        {"invariant": name, "count": violation.count, "examples": violation.examples}
        for name, violation in violations.items()
    ]
    return orjson.dumps({"ok": not broken, "checked": len(rules), "violations": broken}).decode()
