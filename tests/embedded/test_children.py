"""A child process is started, detected as ready, and stopped with all of its descendants."""

import os
import signal
import time
from pathlib import Path

import pytest

from commerce.embedded.errors import ChildFailed
from tests.embedded.processes import (
    LIMIT_SECONDS,
    PARENT,
    SLEEPER,
    is_alive,
    python_child,
    start_python,
    wait_for,
    written_pid,
)


def test_stopping_ends_the_child(tmp_path: Path) -> None:
    child = python_child(tmp_path, SLEEPER)
    child.start()
    pid = child.pid
    assert pid is not None
    assert is_alive(pid)

    child.stop()

    assert not child.running
    assert not is_alive(pid)


def test_stopping_ends_what_the_child_started(tmp_path: Path) -> None:
    child = python_child(tmp_path, PARENT, str(tmp_path / "grandchild"))
    child.start()
    grandchild = written_pid(tmp_path / "grandchild")

    child.stop()

    wait_for(lambda: not is_alive(grandchild))


def test_starting_again_ends_what_a_killed_child_left_behind(tmp_path: Path) -> None:
    child = python_child(tmp_path, PARENT, str(tmp_path / "grandchild"))
    child.start()
    grandchild = written_pid(tmp_path / "grandchild")
    assert child.pid is not None
    os.kill(child.pid, signal.SIGKILL)
    wait_for(lambda: not child.running)
    assert child.exit_code == -signal.SIGKILL
    assert is_alive(grandchild)

    child.start()

    wait_for(lambda: not is_alive(grandchild))
    child.stop()


def test_a_child_that_ignores_the_request_to_stop_is_killed(tmp_path: Path) -> None:
    deaf = (
        "import pathlib, signal, sys, time; signal.signal(signal.SIGTERM, signal.SIG_IGN);"
        "pathlib.Path(sys.argv[1]).touch(); time.sleep(600)"
    )
    child = python_child(tmp_path, deaf, str(tmp_path / "deaf"), grace_seconds=0.2)
    child.start()
    pid = child.pid
    assert pid is not None
    wait_for((tmp_path / "deaf").exists)

    child.stop()

    assert not is_alive(pid)


def test_a_child_that_ends_while_starting_is_a_failure_that_shows_its_log(tmp_path: Path) -> None:
    child = python_child(tmp_path, "import sys; print('the disk is on fire'); sys.exit(7)", name="server")
    child.start()

    with pytest.raises(ChildFailed) as caught:
        child.wait_until_ready(lambda: False, timeout_seconds=15)

    assert str(caught.value).startswith("server ended while starting (exit code 7). ")
    assert "the disk is on fire" in str(caught.value)
    child.stop()


def test_a_child_that_is_never_ready_is_a_failure(tmp_path: Path) -> None:
    child = python_child(tmp_path, SLEEPER, name="server")
    child.start()

    with pytest.raises(ChildFailed, match="server was not ready within 0 s"):
        child.wait_until_ready(lambda: False, timeout_seconds=0.1)

    child.stop()


def test_a_failing_command_is_distinguished_from_a_successful_one(tmp_path: Path) -> None:
    good = python_child(tmp_path, "pass", name="good")
    bad = python_child(tmp_path, "raise SystemExit(3)", name="bad")
    good.start()
    bad.start()

    good.wait_until_ended()
    with pytest.raises(ChildFailed, match=r"bad failed \(exit code 3\)"):
        bad.wait_until_ended()

    good.stop()
    bad.stop()


def test_ctrl_c_in_the_terminal_does_not_reach_a_child(tmp_path: Path) -> None:
    child = python_child(tmp_path, SLEEPER)
    child.start()
    assert child.pid is not None

    assert os.getpgid(child.pid) == child.pid
    assert os.getsid(child.pid) == child.pid

    child.stop()


@pytest.mark.parametrize("ending", [signal.SIGKILL, signal.SIGTERM])
def test_a_child_ends_with_its_parent_in_any_case(tmp_path: Path, ending: signal.Signals) -> None:
    parent_code = f"""
import pathlib, sys, time
from tests.embedded.processes import SLEEPER, python_child
child = python_child(pathlib.Path({str(tmp_path)!r}), SLEEPER)
child.start()
pathlib.Path({str(tmp_path / "child")!r}).write_text(str(child.pid))
time.sleep(600)
"""
    with start_python(parent_code) as parent:
        child_pid = written_pid(tmp_path / "child")
        assert is_alive(child_pid)

        parent.send_signal(ending)
        parent.wait(timeout=LIMIT_SECONDS)

    wait_for(lambda: not is_alive(child_pid))


def test_a_large_log_is_rotated(tmp_path: Path) -> None:
    log = tmp_path / "child.log"
    log.write_bytes(b"x" * 20_000_001)
    child = python_child(tmp_path, "print('hello')")

    child.start()
    child.wait_until_ended()

    assert log.read_text() == "hello\n"
    assert (tmp_path / "child.old.log").stat().st_size == 20_000_001
    child.stop()


def test_waiting_for_a_child_can_be_interrupted_by_the_pause(tmp_path: Path) -> None:
    class Interrupted(Exception):
        pass

    def pause(_seconds: float) -> None:
        raise Interrupted

    child = python_child(tmp_path, SLEEPER)
    child.start()
    started_at = time.monotonic()

    with pytest.raises(Interrupted):
        child.wait_until_ready(lambda: False, timeout_seconds=600, pause=pause)

    assert time.monotonic() - started_at < 5
    child.stop()
