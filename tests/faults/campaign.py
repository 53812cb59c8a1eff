"""Runs the chosen faults with the chosen seeds, then their controls, and reports the results as a table and as JSON.

Contains the output and the exit code. `runner` executes the runs.
"""

import argparse
import json
import time
from collections.abc import Collection, Sequence
from dataclasses import asdict

from tests.faults.__main__ import KEPT
from tests.faults.catalogue import chosen
from tests.faults.fault import Fault
from tests.faults.runner import Plan, Result, Runner
from tests.faults.servers import Servers

_SEEDS_OF_A_CONTROL = 3
_COLUMNS = (
    ("fault", 30),
    ("seed", 5),
    ("shots", 6),
    ("acknowledged", 13),
    ("refused", 8),
    ("unknown", 8),
    ("violations", 11),
    ("recovery s", 11),
    ("slowest s", 10),
    ("verdict", 24),
)


def run_all(
    servers: Servers,
    asked: argparse.Namespace,
    *,
    began: float,
    known: Sequence[Fault] | None = None,
    controls: Collection[str] = (),
) -> int:
    """Run, print, write; 0 when every run passed and every control failed as it should.

    `known`: the faults to run, instead of those of the catalogue that were asked for; `controls` names those of them
    that have a control.
    """
    plan = Plan(
        seconds=0.0 if asked.short else asked.seconds,
        clients=asked.clients,
        histories=KEPT,
    )
    every = chosen(asked.fault) if known is None else known
    faults = [fault for fault in every if fault.in_short or asked.fault or not asked.short]
    if not servers.makes_topics:
        left_out = [fault for fault in faults if fault.needs_apache_kafka]
        faults = [fault for fault in faults if not fault.needs_apache_kafka]
        for fault in left_out:
            say(f"LEFT OUT: {fault.number} {fault.title}. It needs --kafka apache.")
    controlled = [
        fault
        for fault in faults
        if (fault.control_in_short or asked.fault or not asked.short) and (known is None or fault.number in controls)
    ]
    seeds = range(asked.seed, asked.seed + asked.seeds)
    say(f"Seeds {seeds[0]} to {seeds[-1]}, {plan.clients} clients, broker: {asked.kafka}. Logs: {servers.logs}")
    runner = Runner(servers, plan)
    results: list[Result] = []
    try:
        say(_line([name for name, _ in _COLUMNS]))
        for fault in _one_shop_after_the_other(faults):
            for seed in seeds:
                results.append(runner.run(fault, seed=seed))
                print_result(results[-1])
        if not asked.without_controls:
            results += [run_control(runner, fault, seed=asked.seed) for fault in controlled]
    finally:
        runner.close_shop()
    failed = [result for result in results if not result.passed]
    seconds = time.monotonic() - began
    asked.json.parent.mkdir(parents=True, exist_ok=True)
    asked.json.write_text(json.dumps(as_json(results, faults, asked, seconds), indent=1) + "\n")
    say(f"{len(results) - len(failed)} of {len(results)} runs went as they must, {_totals(results)}, {seconds:.0f} s.")
    say(f"Table: {asked.json}")
    return 1 if failed or not results else 0


def run_control(runner: Runner, fault: Fault, *, seed: int) -> Result:
    """Run the control until it fails as it must, under three seeds at most; print each run, return the last.

    Many controls lose a race between two processes, which one short run can miss by chance.
    """
    for each in range(seed, seed + _SEEDS_OF_A_CONTROL):
        result = runner.run(fault, seed=each, is_control=True)
        print_result(result)
        if result.passed:
            break
    return result


def _one_shop_after_the_other(faults: Sequence[Fault]) -> list[Fault]:
    """Group faults that need the same shop, because starting a shop takes longer than most runs."""
    variants = [fault.variant() for fault in faults]
    return sorted(faults, key=lambda fault: variants.index(fault.variant()))


def print_result(result: Result) -> None:
    """Print one row of the table, followed by its violations."""
    say(_line(_cells(result)))
    if result.passed and not result.is_control:
        return
    for violation in result.violations[:3] if result.passed else result.violations:
        say(f"      {violation}")
    if result.is_control and not result.passed:
        say(f"      nothing says: {'; '.join(result.not_shown)}")


def as_json(results: Sequence[Result], faults: Sequence[Fault], asked: argparse.Namespace, seconds: float) -> object:
    """The table with all options of the run."""
    return {
        "seed": asked.seed,
        "seeds": asked.seeds,
        "clients": asked.clients,
        "kafka": asked.kafka,
        "seconds": round(seconds, 1),
        "faults": {fault.number: {"title": fault.title, "control": f"without: {fault.protection}"} for fault in faults},
        "runs": [{**asdict(result), "passed": result.passed} for result in results],
    }


def say(text: str) -> None:
    print(text, flush=True)


def _cells(result: Result) -> list[str]:
    verdict = "holds" if result.passed else "BROKEN"
    if result.is_control:
        verdict = "control fails, as it must" if result.passed else "CONTROL PASSED"
    return [
        f"{result.fault} {result.title}"[:29],
        str(result.seed),
        str(len(result.shots)),
        str(result.acknowledged),
        str(result.refused),
        str(result.unknown),
        str(len(result.violations)),
        f"{result.recovery_seconds:.1f}",
        f"{result.slowest_seconds:.1f}",
        verdict,
    ]


def _line(cells: Sequence[str]) -> str:
    return " ".join(cell.ljust(width) for cell, (_, width) in zip(cells, _COLUMNS, strict=True)).rstrip()


def _totals(results: Sequence[Result]) -> str:
    real = [result for result in results if not result.is_control]
    shots = sum(len(result.shots) for result in real)
    return f"{shots} shots, {sum(result.acknowledged for result in real)} acknowledged writes"
