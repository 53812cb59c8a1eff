"""Killed parts of the shop are detected and restarted."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.embedded.processes import is_alive, python_child, wait_for
from tests.faults.parts import Part

FIRST_THREAD_GONE = """
import ctypes, platform, threading, time
threading.Thread(target=time.sleep, args=(600,)).start()
SYS_EXIT = {"x86_64": 60}.get(platform.machine(), 93)
ctypes.CDLL(None).syscall(SYS_EXIT, 0)
"""
"""Ends only its first thread: while another one runs, the process is a zombie that cannot be reaped.

A process with many threads is in this state for some milliseconds after SIGKILL.
"""


@pytest.fixture
def dying(tmp_path: Path) -> Iterator[Part]:
    child = python_child(tmp_path, FIRST_THREAD_GONE)
    part = Part(child, start=child.start, ready=lambda: True)
    part.start()
    wait_for(lambda: not is_alive(part.pid))
    yield part
    part.kill()


def test_a_part_that_is_still_being_ended_does_not_run(dying: Part) -> None:
    assert dying.child.exit_code is None
    assert not dying.running


def test_a_part_that_is_still_being_ended_is_started_again(dying: Part) -> None:
    dead = dying.pid

    dying.recover()

    assert dying.pid != dead
