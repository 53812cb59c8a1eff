"""A control that does not fail in one run is run again; if it never fails, the campaign fails."""

from collections.abc import Sequence

import pytest

from tests.faults import campaign
from tests.faults.catalogue import chosen
from tests.faults.fault import Fault
from tests.faults.runner import Result

SHOWN = "issued_count_is_its_holders: coupon 1"


class RunnerWithResults:
    """Returns these violations, one list per run, and records the seeds."""

    def __init__(self, violations: Sequence[list[str]]) -> None:
        self.seeds: list[int] = []
        self._violations = iter(violations)

    def run(self, fault: Fault, *, seed: int, is_control: bool) -> Result:
        assert is_control
        self.seeds.append(seed)
        return Result(
            fault=fault.number,
            title=fault.title,
            seed=seed,
            is_control=True,
            shots=["one"],
            acknowledged=1,
            refused=0,
            unknown=0,
            violations=next(self._violations),
            recovery_seconds=0.0,
            slowest_seconds=0.0,
            control_shows=["issued_count_is_its_holders"],
        )


@pytest.mark.parametrize(
    ("violations", "seeds", "passed"),
    [
        ([[SHOWN]], [7], True),
        ([[], [SHOWN]], [7, 8], True),
        ([[], [], []], [7, 8, 9], False),
    ],
    ids=["shows it at once", "shows it in its second run", "shows it in none"],
)
def test_a_control_has_three_runs(violations: list[list[str]], seeds: list[int], passed: bool) -> None:
    runner = RunnerWithResults(violations)
    result = campaign.run_control(runner, chosen(["F5"])[0], seed=7)  # type: ignore[arg-type]  # only `run` is used
    assert runner.seeds == seeds
    assert result.passed is passed
