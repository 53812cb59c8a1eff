"""Processor time of process trees."""

from pathlib import Path

from benchmarks.cpu import CpuReading, ProcessTime, microseconds_each, parse_stat, processes, tree_seconds

STAT = "{pid} ({name}) S {parent} 1 1 0 -1 4194560 1 2 3 4 {times} 20 0 1 0 100 1 1"


def stat(pid: int, parent: int, times: str, name: str = "python") -> str:
    return STAT.format(pid=pid, parent=parent, times=times, name=name)


def test_a_command_with_spaces_and_brackets_is_read_right():
    assert parse_stat(stat(7, 3, "10 5 2 1", name="a (b) c) d")) == ProcessTime(parent=3, ticks=18)


def test_a_tree_includes_only_its_descendants():
    snapshot = {
        1: ProcessTime(parent=0, ticks=1_000),
        10: ProcessTime(parent=1, ticks=100),
        11: ProcessTime(parent=10, ticks=50),
        12: ProcessTime(parent=11, ticks=25),
        20: ProcessTime(parent=1, ticks=7_000),
    }
    ticks_per_second = tree_seconds([1], {1: ProcessTime(parent=0, ticks=100)})
    assert tree_seconds([10], snapshot) == 1.75 * ticks_per_second


def test_a_process_below_two_roots_counts_once():
    snapshot = {10: ProcessTime(parent=1, ticks=100), 11: ProcessTime(parent=10, ticks=100)}
    assert tree_seconds([10, 11], snapshot) == tree_seconds([10], snapshot)


def test_what_has_ended_counts_nothing():
    assert tree_seconds([99], {}) == 0.0


def test_a_process_that_ends_while_proc_is_read_is_left_out(tmp_path: Path):
    (tmp_path / "5").mkdir()
    (tmp_path / "5" / "stat").write_text(stat(5, 1, "1 2 3 4"))
    (tmp_path / "6").mkdir()
    (tmp_path / "self").mkdir()
    assert processes(tmp_path) == {5: ProcessTime(parent=1, ticks=10)}


def test_two_readings_give_what_was_used_between_them():
    before = CpuReading({"app": 1.0, "postgres": 2.0})
    after = CpuReading({"app": 1.5, "postgres": 2.0, "redis": 0.25})
    assert after.since(before) == {"app": 0.5, "postgres": 0.0, "redis": 0.25}


def test_time_per_request_is_in_microseconds_and_nothing_of_no_request():
    assert microseconds_each({"app": 0.5}, 1_000) == {"app": 500.0}
    assert microseconds_each({"app": 0.5}, 0) == {"app": 0.0}
