"""`python -m benchmarks`, which `make bench` runs."""

import argparse
import signal
import sys
from pathlib import Path
from typing import Any, NoReturn

from benchmarks import chart, dataset, gateway, generator, lines_of_gateway, results, rounds
from benchmarks.bench import Bench, Options, postgres_settings, say
from benchmarks.errors import BenchmarkFailed
from benchmarks.line import Outcome
from benchmarks.lines import all_lines
from benchmarks.servers import LIMITS_OFF
from benchmarks.table import table
from commerce.embedded.children import PROJECT_ROOT
from commerce.embedded.errors import EmbeddedError

FAILED_RUN = PROJECT_ROOT / ".local" / "bench-failed.json"
_QUICK_ROUNDS, _ROUNDS = 1, 3
_QUICK_SECONDS, _SECONDS = 1.0, 5.0


def parsed(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description="Measure the shop over HTTP, compared with a limit and a usual implementation. Exit code 1 "
        "if a response or an invariant is wrong; a missed goal is not a failure.",
    )
    parser.add_argument(
        "--line", action="append", default=[], metavar="NAME", help="only this line, or all of this family; repeatable"
    )
    parser.add_argument("--quick", action="store_true", help="a small data set, one round of a second: for correctness")
    parser.add_argument("--rounds", type=int, help=f"rounds of each line ({_ROUNDS}; quick {_QUICK_ROUNDS})")
    parser.add_argument(
        "--seconds", type=float, help=f"seconds of each measurement ({_SECONDS:g}; quick {_QUICK_SECONDS:g})"
    )
    parser.add_argument(
        "--large-orders",
        type=int,
        default=1_000_000,
        help="orders of the large shop (%(default)s, about 5 ledger entries each)",
    )
    parser.add_argument("--list", action="store_true", help="print the names of the lines")
    parser.add_argument(
        "--json",
        type=Path,
        help="file of the results (default for a run of all lines: benchmarks/results/latest.json)",
    )
    parser.add_argument(
        "--chart",
        type=Path,
        help="file of the chart (default for a run of all lines: docs/images/bench.svg)",
    )
    parser.add_argument("--keep", action="store_true", help="keep the folder with data and logs")
    return parser.parse_args(arguments)


def options_of(asked: argparse.Namespace) -> Options:
    quick: bool = asked.quick
    return Options(
        quick=quick,
        rounds=asked.rounds or (_QUICK_ROUNDS if quick else _ROUNDS),
        seconds=asked.seconds or (_QUICK_SECONDS if quick else _SECONDS),
        sizes=dataset.QUICK if quick else dataset.FULL,
        large_orders=asked.large_orders,
        keep=asked.keep,
    )


def main(arguments: list[str] | None = None) -> int:
    """0 if every response was correct; 1 otherwise."""
    asked = parsed(arguments)
    if not (asked.quick or asked.line):
        asked.json = asked.json or results.FOLDER / "latest.json"
        asked.chart = asked.chart or PROJECT_ROOT / "docs" / "images" / "bench.svg"
    if asked.list:
        for line in all_lines():
            say(f"{line.key:<20} {line.title}{'  (not in a quick run)' if line.full_only else ''}")
        return 0
    signal.signal(signal.SIGTERM, _stop)
    options = options_of(asked)
    outcomes: list[Outcome] = []
    about: dict[str, Any] = {}
    bench: Bench | None = None
    try:
        lines = rounds.chosen(all_lines(), asked.line)
        if options.quick and not asked.line:
            for line in (each for each in lines if each.full_only):
                say(f"Not in a quick run: {line.title}")
            lines = [line for line in lines if not line.full_only]
        if any(line.family == lines_of_gateway.FAMILY for line in lines):
            # Checked now, not when its turn comes.
            gateway.program()
        about = {**results.surroundings(), "options": _as_json(options)}
        bench = Bench(options)
        bench.start()
        about["postgres"] = postgres_settings(bench.connection)
        about["generator"] = {} if options.quick else generator.cost(bench)
        say(_conditions(options, about))
        rounds.run(bench, lines, outcomes)
        failure = None
    except (BenchmarkFailed, EmbeddedError) as error:
        failure = str(error)
    except KeyboardInterrupt:
        failure = "stopped before its end"
    finally:
        if bench is not None:
            bench.stop()
    return _finish(asked, outcomes, about, failure)


def _finish(asked: argparse.Namespace, outcomes: list[Outcome], about: dict[str, Any], failure: str | None) -> int:
    if outcomes:
        say("\n" + table(outcomes))
    if failure is not None:
        if outcomes:
            # The lines before the failure may have taken half an hour.
            results.write(FAILED_RUN, {**results.as_json(outcomes, about), "failure": failure})
            say(f"\nThe lines before the failure are in {FAILED_RUN}")
        say(f"\nFAILED: {failure}")
        return 1
    if asked.json is not None:
        results.write(asked.json, results.as_json(outcomes, about))
        say(f"\nWritten to {asked.json}")
    if asked.chart is not None:
        subtitle = f"{about['machine']['processors']} processors, PostgreSQL, Redis, shop and load on one machine"
        asked.chart.write_text(chart.drawn([outcome.as_json() for outcome in outcomes], subtitle=subtitle))
        say(f"Drawn to {asked.chart}")
    return 0


def _conditions(options: Options, about: dict[str, Any]) -> str:
    postgres = about["postgres"]
    limits = ", ".join(f"{name}=0" for name in LIMITS_OFF)
    costs = [
        f"{kind} {cost['cpu_us']:g} µs ({cost['per_second']:,}/s at most)" for kind, cost in about["generator"].items()
    ]
    generator_cost = ", ".join(costs) or "not measured in a quick run"
    return (
        f"PostgreSQL {postgres['server_version']}, fsync {postgres['fsync']}, synchronous_commit "
        f"{postgres['synchronous_commit']}. Limits per account are off ({limits}); the data platform is off.\n"
        f"Processor time of the load generator, wrk, per request: {generator_cost}.\n"
        f"{options.rounds} rounds of {options.seconds:g} s, shop, limit and usual implementation in turn; medians."
    )


def _as_json(options: Options) -> dict[str, Any]:
    return {
        "quick": options.quick,
        "rounds": options.rounds,
        "seconds": options.seconds,
        "customers": options.sizes.customers,
        "products": options.sizes.products,
        "coupons": options.sizes.coupons,
        "large_orders": options.large_orders,
        "limits_off": dict(LIMITS_OFF),
        "data_platform": False,
    }


def _stop(_number: int, _frame: object) -> NoReturn:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
