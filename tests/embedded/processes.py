"""Helpers for tests of child processes: commands to run, and observation of processes.

All waits have a limit.
"""

import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from commerce.embedded.children import Child, ChildSpec

LIMIT_SECONDS = 30.0

SLEEPER = "import time; time.sleep(600)"
"""Runs until SIGTERM."""

PARENT = """
import pathlib, subprocess, sys, time
grandchild = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
pathlib.Path(sys.argv[1]).write_text(str(grandchild.pid))
time.sleep(600)
"""
"""Runs with a child process, whose id it writes to the given file."""


def python_child(logs: Path, code: str, *arguments: str, name: str = "child", grace_seconds: float = 10.0) -> Child:
    """A child process that runs a Python program."""
    command = [sys.executable, "-c", code, *arguments]
    return Child(ChildSpec(name=name, command=command, log_path=logs / f"{name}.log", grace_seconds=grace_seconds))


def wait_for(what: Callable[[], bool], *, limit_seconds: float = LIMIT_SECONDS) -> None:
    """Wait until it is true; fail after fifteen seconds, or the given limit."""
    deadline = time.monotonic() + limit_seconds
    while not what():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.01)


def is_alive(pid: int) -> bool:
    """Whether the process is running; a zombie is not."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"


def written_pid(path: Path) -> int:
    """The process id that another process writes to this file."""
    wait_for(lambda: path.exists() and path.read_text().isdigit())
    return int(path.read_text())


def start_python(code: str) -> subprocess.Popen[str]:
    """Another process that runs a Python program; its output can be read."""
    return subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)  # noqa: S603 - our code


def printed_by_python(code: str, environment: Mapping[str, str]) -> str:
    """The output of a Python program in a new process, which must succeed."""
    command = [sys.executable, "-c", code]
    done = subprocess.run(  # noqa: S603 - our code
        command, env=dict(environment), capture_output=True, text=True, check=True, timeout=60
    )
    return done.stdout
