"""The types of a rule and of its violation."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Rule:
    """A condition that must always hold, with its description."""

    name: str
    meaning: str


@dataclass(frozen=True)
class Invariant(Rule):
    """A rule about the database. Its query returns `(subject, finding)` for each violation, and no rows if it holds."""

    query: str
    only_when_quiet: bool = False
    """Only checked in an idle system. In a running one, some events may not be processed yet."""


@dataclass(frozen=True)
class Violation:
    """The number of violations of a rule, and the first of them."""

    invariant: Rule
    count: int
    examples: Sequence[str]
