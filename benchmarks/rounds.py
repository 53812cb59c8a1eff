"""The run: each line in rounds of shop, limit and usual implementation, then the checks."""

import time
from collections.abc import Sequence
from itertools import zip_longest

from benchmarks.bench import Bench, say
from benchmarks.errors import BenchmarkFailed
from benchmarks.line import Line, Outcome
from benchmarks.table import figure


def chosen(lines: Sequence[Line], names: Sequence[str]) -> list[Line]:
    """The lines of these families or keys; all lines without names. Raises BenchmarkFailed for an unknown name."""
    for name in names:
        if not any(name in (line.key, line.family) for line in lines):
            known = ", ".join(dict.fromkeys(line.family for line in lines))
            raise BenchmarkFailed(f"There is no line {name}. There are: {known}, or one of them as family:connections.")
    return [line for line in lines if not names or line.key in names or line.family in names]


def measure(bench: Bench, line: Line, *, rounds: int, with_naive: bool = True) -> Outcome:
    """Measure a line, alternating. Raises WrongAnswer, BenchmarkFailed."""
    outcome = Outcome(line=line)
    for _ in range(min(rounds, line.rounds_at_most)):
        outcome.ours.append(line.ours(bench))
        if line.limit is not None:
            outcome.limit.append(line.limit(bench))
        if line.naive is not None and with_naive:
            outcome.naive.append(line.naive(bench))
    return outcome


def summary(outcome: Outcome, seconds: float) -> str:
    """One line of progress."""
    line = outcome.line
    parts = [f"{line.title}: {figure(outcome.ours_value, line.unit)}"]
    if outcome.limit:
        parts.append(f"limit {figure(outcome.limit_value, line.unit)}")
    if outcome.naive:
        parts.append(f"usual {figure(outcome.naive_value, line.unit)}")
    if outcome.ratio is not None:
        parts.append(f"ratio {outcome.ratio:.2f}")
    return f"  {', '.join(parts)}  ({seconds:.0f} s)"


def run(bench: Bench, lines: Sequence[Line], outcomes: list[Outcome]) -> None:
    """Measure all lines. `outcomes` is filled during the run, so that a failed run has the results before the failure.

    The invariants are checked after each line that writes. A quick run checks them after each family of lines, and
    measures the usual implementation once in each.
    """
    quick = bench.options.quick
    families: set[str] = set()
    for line, following in zip_longest(lines, lines[1:]):
        began = time.monotonic()
        with_naive = line.against_naive or not quick or line.family not in families
        families.add(line.family)
        outcome = measure(bench, line, rounds=bench.options.rounds, with_naive=with_naive)
        outcomes.append(outcome)
        family_ends = following is None or following.family != line.family
        if line.writes and (family_ends or not quick):
            bench.check_invariants(line.key)
        say(summary(outcome, time.monotonic() - began))
    bench.check_everything()
