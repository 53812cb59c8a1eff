"""What an invariant is.

Owns the shape of a rule and of its violation; never asks the database.
"""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Rule:
    """Something that always holds, and what that means."""

    name: str
    meaning: str


@dataclass(frozen=True)
class Invariant(Rule):
    """A rule of the database. Its query returns `(subject, finding)` of everything that breaks it: no row, it holds."""

    query: str
    only_when_quiet: bool = False
    """Asked only of a system that is said to be quiet; in a live one facts may still be on their way."""


@dataclass(frozen=True)
class Violation:
    """How many cases break a rule, and the first of them."""

    invariant: Rule
    count: int
    examples: Sequence[str]
