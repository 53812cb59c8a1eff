"""Medians, ratios, goals, the table, the results file and the chart."""

import json
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from benchmarks import chart, results
from benchmarks.errors import BenchmarkFailed
from benchmarks.figures import median, percentile, ratio, spread
from benchmarks.line import Goal, Line, Outcome
from benchmarks.lines import all_lines
from benchmarks.rounds import chosen, measure, run
from benchmarks.sample import Sample
from benchmarks.table import table


def line(**given: object) -> Line:
    values: dict[str, object] = {"key": "charge:16", "title": "charge, 16", "ours": lambda bench: Sample(value=1.0)}
    return Line(**{**values, **given})  # type: ignore[arg-type]


def outcome(ours: list[float], limit: list[float], *, errors: int = 0, p99_ms: float = 1.0, **given: object) -> Outcome:
    return Outcome(
        line=line(**given),
        ours=[Sample(value=value, errors=errors, p99_ms=p99_ms, cpu_us={"app": value}) for value in ours],
        limit=[Sample(value=value) for value in limit],
    )


def test_percentiles_are_of_the_nearest_rank():
    values = [float(number) for number in range(1, 101)]
    assert [percentile(values, percent) for percent in (50, 95, 99, 100)] == [50.0, 95.0, 99.0, 100.0]
    assert percentile([7.0], 99) == 7.0
    assert percentile([], 50) == 0.0


def test_the_spread_is_a_share_of_the_median():
    assert spread([90.0, 100.0, 110.0]) == 0.2
    assert spread([100.0]) == 0.0
    assert median([]) == 0.0


def test_without_a_limit_there_is_no_ratio():
    assert ratio(100.0, 0.0) is None
    assert outcome([100.0], []).ratio is None


def test_the_ratio_is_the_median_of_the_rounds_own():
    # The second round was measured while the machine was busy with something else, on both sides.
    assert outcome([400.0, 40.0, 500.0], [1_000.0, 100.0, 1_000.0]).ratio == 0.4


def test_a_line_beside_the_usual_implementation_is_compared_with_that():
    measured = outcome([10.0], [1.0], against_naive=True, goal=Goal(ratio_at_most=1.0))
    measured.naive = [Sample(value=20.0)]
    assert (measured.ratio, measured.reached) == (0.5, True)


@pytest.mark.parametrize(
    ("goal", "reached"),
    [
        (Goal(ratio_at_least=0.4), True),
        (Goal(ratio_at_least=0.41), False),
        (Goal(ratio_at_most=0.4), True),
        (Goal(value_at_least=400), True),
        (Goal(value_at_most=399), False),
        (Goal(ratio_at_least=0.1, p99_ms_at_most=50), False),
        (Goal(ratio_at_least=0.1, p99_ms_at_most=60), True),
    ],
)
def test_every_bound_of_a_goal_counts(goal: Goal, reached: bool):
    assert outcome([400.0], [1_000.0], p99_ms=60.0, goal=goal).reached is reached


def test_a_goal_is_not_reached_if_requests_were_refused():
    assert outcome([400.0], [1_000.0], errors=1, goal=Goal(ratio_at_least=0.1)).reached is False


def test_a_ratio_without_a_limit_reaches_no_goal():
    assert outcome([400.0], [], goal=Goal(ratio_at_least=0.1)).reached is False


def test_a_line_without_a_goal_is_neither_reached_nor_missed():
    assert outcome([1.0], [1.0]).reached is None


def test_the_table_shows_figure_ratio_and_goal():
    shown = table([outcome([400.0], [1_000.0], goal=Goal(ratio_at_least=0.5))]).splitlines()
    assert shown[0].split()[:4] == ["line", "ours", "limit", "ratio"]
    assert shown[1].split()[:8] == ["charge,", "16", "400/s", "1,000/s", "0.40", "≥", "0.5", "no"]


def test_the_results_file_has_an_entry_for_each_line(tmp_path: Path):
    path = tmp_path / "new" / "latest.json"
    results.write(path, results.as_json([outcome([400.0, 420.0, 410.0], [1_000.0] * 3)], {"commit": "abc"}))
    written = json.loads(path.read_text())
    assert written["commit"] == "abc"
    (entry,) = written["lines"]
    assert (entry["line"], entry["ours"], entry["limit"], entry["ratio"]) == ("charge:16", 410.0, 1_000.0, 0.41)
    assert entry["rounds"]["ours"] == [400.0, 420.0, 410.0]
    assert entry["spread"]["ours"] == 0.049
    assert entry["cpu_us"] == {"app": 410.0}
    assert [file.name for file in path.parent.iterdir()] == ["latest.json"]


def test_the_chart_is_well_formed_and_names_each_line_with_a_limit():
    measured = [
        outcome([400.0], [1_000.0], goal=Goal(ratio_at_least=0.5), title="a < b"),
        outcome([1.0], [], title="c"),
    ]
    drawing = ET.fromstring(chart.drawn([each.as_json() for each in measured], subtitle="here"))  # noqa: S314
    words = [element.text for element in drawing.iter("{http://www.w3.org/2000/svg}text")]
    assert "a < b" in words
    assert "400/s · 0.40" in words
    assert "c" not in words


def test_a_line_is_chosen_by_its_key_or_its_family():
    lines = [line(key="charge:16"), line(key="charge:64"), line(key="order:16")]
    assert [each.key for each in chosen(lines, ["charge"])] == ["charge:16", "charge:64"]
    assert [each.key for each in chosen(lines, ["charge:64", "order"])] == ["charge:64", "order:16"]
    assert chosen(lines, []) == lines
    with pytest.raises(BenchmarkFailed, match=r"no line chargee.*charge, order"):
        chosen(lines, ["chargee"])


def test_every_line_has_a_key_of_its_own_and_a_goal():
    lines = all_lines()
    assert len({each.key for each in lines}) == len(lines)
    assert [each.key for each in lines if each.goal is None] == []


class Recorder:
    """Replaces a bench and records its calls."""

    def __init__(self, *, quick: bool) -> None:
        self.events: list[str] = []
        self.options = type("Options", (), {"quick": quick, "rounds": 2})()

    def side(self, name: str):
        def measured(bench: object) -> Sample:
            self.events.append(name)
            return Sample(value=1.0)

        return measured

    def check_invariants(self, key: str) -> None:
        self.events.append(f"check {key}")

    def check_everything(self) -> None:
        self.events.append("check everything")


def test_rounds_alternate_between_shop_limit_and_usual_implementation():
    bench = Recorder(quick=False)
    sides = {name: bench.side(name) for name in ("ours", "limit", "naive")}
    measure(bench, line(**sides), rounds=2)  # type: ignore[arg-type]
    assert bench.events == ["ours", "limit", "naive"] * 2


@pytest.mark.parametrize(
    ("quick", "checks"), [(False, ["charge:16", "charge:64", "order:16"]), (True, ["charge:64", "order:16"])]
)
def test_the_invariants_are_checked_after_what_writes_and_at_the_end(quick: bool, checks: list[str]):
    bench = Recorder(quick=quick)
    lines = [line(key="charge:16"), line(key="charge:64"), line(key="order:16"), line(key="products:16", writes=False)]
    run(bench, lines, [])  # type: ignore[arg-type]
    assert bench.events == [*(f"check {key}" for key in checks), "check everything"]
