"""A child process that is started, monitored, and stopped together with all of its descendants.

A child never outlives its parent, even if the parent was killed.
"""

import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from commerce.embedded.errors import ChildFailed

PROJECT_ROOT = Path(__file__).resolve().parents[2]
_PR_SET_PDEATHSIG = 1
_POLL_SECONDS = 0.03
_LOG_LIMIT_BYTES = 20_000_000
_TAIL_LINES = 25

Pause = Callable[[float], None]


@dataclass(frozen=True, kw_only=True)
class Account:
    """The system user of a child, if it differs from the parent's."""

    uid: int
    gid: int


@dataclass(frozen=True, kw_only=True)
class ChildSpec:
    """The command of a child and how it is stopped.

    Attributes:
        stop_signal: asks it to shut down gracefully.
        orphan_signal: sent by the kernel when the parent has died (Linux). A child with children of its own needs one
            that it handles.
        grace_seconds: how long it may take to shut down before it is killed.
    """

    name: str
    command: Sequence[str]
    log_path: Path
    account: Account | None = None
    stop_signal: signal.Signals = signal.SIGTERM
    orphan_signal: signal.Signals = signal.SIGKILL
    grace_seconds: float = 10.0


class Child:
    """One process in its own session, so that Ctrl-C in the terminal only reaches the parent."""

    def __init__(self, spec: ChildSpec) -> None:
        self.spec = spec
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def name(self) -> str:
        return self.spec.name

    @property
    def pid(self) -> int | None:
        """The process id, None before the first start."""
        return self._process.pid if self._process is not None else None

    @property
    def exit_code(self) -> int | None:
        """The exit code (negative: the signal's number); None while it is running or before the first start."""
        return self._process.poll() if self._process is not None else None

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def start(self, environment: Mapping[str, str] | None = None) -> None:
        """Start the process with this environment or the parent's. Its output is appended to its log."""
        self._sweep()
        _rotate(self.spec.log_path)
        account = self.spec.account
        with self.spec.log_path.open("ab") as log:
            # preexec_fn is only dangerous with imports or locks after the fork; the function uses neither.
            self._process = subprocess.Popen(  # noqa: S603 - the command is ours, no shell
                list(self.spec.command),
                cwd=PROJECT_ROOT,
                env=dict(environment) if environment is not None else None,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                user=account.uid if account else None,
                group=account.gid if account else None,
                extra_groups=[] if account else None,
                preexec_fn=_bound_to_parent(self.spec.orphan_signal),  # noqa: PLW1509 - see above
            )

    def wait_until_ready(self, ready: Callable[[], bool], *, timeout_seconds: float, pause: Pause = time.sleep) -> None:
        """Wait until `ready` returns True.

        Raises:
            ChildFailed: the process ended first, or the timeout expired.
        """
        deadline = time.monotonic() + timeout_seconds
        while not ready():
            if not self.running:
                raise self.failure(f"ended while starting ({describe(self.exit_code)})")
            if time.monotonic() > deadline:
                raise self.failure(f"was not ready within {timeout_seconds:.0f} s")
            pause(_POLL_SECONDS)

    def wait_until_ended(self, pause: Pause = time.sleep) -> None:
        """Wait until the process has ended.

        Raises:
            ChildFailed: its exit code was not 0.
        """
        while self.running:
            pause(_POLL_SECONDS)
        if self.exit_code != 0:
            raise self.failure(f"failed ({describe(self.exit_code)})")

    def failure(self, reason: str) -> ChildFailed:
        """An error with the reason and the end of the log."""
        return ChildFailed(self.name, reason, log_path=self.spec.log_path, log_tail=tail(self.spec.log_path))

    def stop(self) -> None:
        """Send the stop signal, wait up to the grace period, then kill the group. No-op if it is not running."""
        if self._process is None:
            return
        if self.running:
            self._process.send_signal(self.spec.stop_signal)
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(timeout=self.spec.grace_seconds)
        self._sweep()

    def kill(self) -> None:
        """Kill the process and its descendants. No-op if it is not running."""
        self._sweep()

    def _sweep(self) -> None:
        """Kill the rest of the process group: workers outlive a master that was killed."""
        if self._process is None:
            return
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._process = None


def describe(exit_code: int | None) -> str:
    """An exit code in words."""
    if exit_code is None:
        return "still running"
    if exit_code < 0:
        return f"killed by {signal.Signals(-exit_code).name}"
    return f"exit code {exit_code}"


def tail(path: Path, lines: int = _TAIL_LINES) -> str:
    """The last lines of a log, indented, or a note if there is no log."""
    try:
        text = path.read_bytes()[-20_000:].decode(errors="replace")
    except OSError:
        return "  (no log)"
    return "\n".join(f"  {line}" for line in text.splitlines()[-lines:]) or "  (empty)"


def _bound_to_parent(orphan_signal: signal.Signals) -> Callable[[], None] | None:
    """A function that makes a forked child receive the signal when its parent dies; None if the kernel cannot do that.

    It must run after the change of user, which would reset it.
    """
    if sys.platform != "linux":
        return None
    parent = os.getpid()
    prctl = ctypes.CDLL(None, use_errno=True).prctl
    number = int(orphan_signal)

    def bind() -> None:
        prctl(_PR_SET_PDEATHSIG, number, 0, 0, 0)
        if os.getppid() != parent:  # the parent died between fork and prctl
            os._exit(1)

    return bind


def _rotate(log_path: Path) -> None:
    log_path.parent.mkdir(parents=True, exist_ok=True)
    with suppress(FileNotFoundError):
        if log_path.stat().st_size > _LOG_LIMIT_BYTES:
            log_path.replace(log_path.with_suffix(".old.log"))
