"""A failpoint triggers once, in one process, and only if it is armed."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.faults.points import KILL, RAISE, Injected, Points, reach, sleep

REACH = "import sys; from tests.faults.points import reach; reach(sys.argv[1], sys.argv[2]); print('went on')"


@pytest.fixture
def points(tmp_path: Path) -> Points:
    return Points(tmp_path / "points")


def reached_by_another(points: Points, point: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-c", REACH, str(points.folder), point]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)  # noqa: S603 - our code


def test_unarmed_points_have_no_effect(points: Points) -> None:
    points.arm("order.after-stock", RAISE)
    reach(str(points.folder), "order.after-lock")
    reach(str(points.folder), "order.after-stock-and-more")
    assert points.fired() == []


def test_an_armed_point_fires_once(points: Points) -> None:
    points.arm("order.after-stock", RAISE)
    with pytest.raises(Injected):
        reach(str(points.folder), "order.after-stock")
    reach(str(points.folder), "order.after-stock")
    assert [(firing.point, firing.action) for firing in points.fired()] == [("order.after-stock", RAISE)]


def test_a_point_fires_as_often_as_it_was_armed(points: Points) -> None:
    points.arm("relay.after-read", sleep(0.0), times=3)
    for _ in range(2):
        reach(str(points.folder), "relay.after-read")
    # One process has executed all three when it first reached the point.
    assert len(points.fired()) == 3


def test_of_several_points_only_the_first_fires(points: Points) -> None:
    points.arm_first_of(["refund.after-lock", "cancel.after-lock"], RAISE)
    with pytest.raises(Injected):
        reach(str(points.folder), "cancel.after-lock")
    reach(str(points.folder), "refund.after-lock")
    reach(str(points.folder), "cancel.after-lock")
    assert [firing.point for firing in points.fired()] == ["cancel.after-lock"]


def test_kill_ends_the_process_and_records_it(points: Points) -> None:
    points.arm("order.before-commit", KILL)
    killed = reached_by_another(points, "order.before-commit")
    assert (killed.returncode, killed.stdout) == (-9, "")
    (firing,) = points.fired()
    assert firing.pid > 0
    assert reached_by_another(points, "order.before-commit").stdout == "went on\n"


def test_disarmed_points_do_not_fire(points: Points) -> None:
    points.arm("order.before-commit", KILL)
    points.disarm()
    reach(str(points.folder), "order.before-commit")
    assert points.fired() == []
