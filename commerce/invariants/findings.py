"""Stores the results of checks, and reads the newest one."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from commerce.core import sql
from commerce.invariants.models import InvariantCheck
from commerce.invariants.rule import Rule, Violation

CHECKS_KEPT = 2_000
"""A week of checks every five minutes."""

FORGET = """
    DELETE FROM invariant_check
    WHERE id <= (SELECT id FROM invariant_check ORDER BY id DESC OFFSET %s LIMIT 1)
"""


@dataclass
class Findings:
    """The checked rules, the violated ones, and those that could not be checked."""

    asked: list[Rule] = field(default_factory=list)
    violations: dict[str, Violation] = field(default_factory=dict)
    skipped: list[Rule] = field(default_factory=list)

    def add(self, rule: Rule, violation: Violation | None) -> None:
        self.asked.append(rule)
        if violation:
            self.violations[rule.name] = violation

    def violations_as_json(self) -> list[dict[str, Any]]:
        return [
            {"invariant": name, "count": violation.count, "examples": list(violation.examples)}
            for name, violation in self.violations.items()
        ]

    def skipped_names(self) -> Sequence[str]:
        return [rule.name for rule in self.skipped]


def keep_verdict(
    findings: Findings,
    *,
    checked_at: datetime,
    duration_seconds: float,
    is_deep: bool,
    is_quiet: bool,
    kept: int = CHECKS_KEPT,
) -> InvariantCheck:
    """Store the result, and delete all but the newest `kept`. Raises django.db.Error if it cannot be stored."""
    verdict = InvariantCheck.objects.create(
        checked_at=checked_at,
        duration_ms=round(duration_seconds * 1_000),
        holds=not findings.violations,
        asked_count=len(findings.asked),
        violations=findings.violations_as_json(),
        skipped=findings.skipped_names(),
        is_deep=is_deep,
        is_quiet=is_quiet,
    )
    sql.execute(FORGET, [kept])
    return verdict


def newest_verdict() -> InvariantCheck | None:
    """The newest result, or None."""
    return InvariantCheck.objects.order_by("-id").first()
