"""The load generator wrk: its command line, its report and its cost. The requests are defined in benchmarks/load."""

import json
import os
import resource
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from benchmarks.errors import BenchmarkFailed, ProgramMissing

SCRIPTS = Path(__file__).with_name("load")
_TIMEOUT = "30s"
_GRACE_SECONDS = 60.0
_MORE_TIME = 5


@dataclass(frozen=True, kw_only=True)
class Load:
    """The options of a load.

    Attributes:
        script: a file of benchmarks/load, without `.lua`.
        first, customers: the customers whose tokens are used: ids `first` to `first + customers - 1`, in turn.
        once: no customer may send two requests, because the second one would get another response.
        key: the prefix of the idempotency keys.
        settings: additional variables of the script, by name.
    """

    port: int
    script: str
    connections: int
    seconds: float
    tokens: Path | None = None
    first: int = 1
    customers: int = 0
    once: bool = False
    key: str = "bench"
    settings: Mapping[str, str] = field(default_factory=dict)

    def by(self, *, customers: int) -> "Load":
        """The same load by the first `customers` customers only."""
        return replace(self, customers=customers)


@dataclass(frozen=True, kw_only=True)
class Report:
    """The result of wrk. `statuses` are counts by status; empty if the script does not count them.

    `failed`: connections refused or lost, and responses that did not arrive in time. `refused`: statuses above 399.
    `sent`: the largest number of requests by one thread.
    """

    requests: int
    seconds: float
    statuses: Mapping[int, int]
    refused: int
    failed: int
    sent: int
    p50_ms: float
    p95_ms: float
    p99_ms: float
    cpu_seconds: float = 0.0

    @property
    def rate(self) -> float:
        return self.requests / self.seconds if self.seconds else 0.0

    def with_status(self, status: int) -> int:
        """The number of responses with this status. Without counts by status, 200 is the number of requests not
        refused.
        """
        if not self.statuses and status == 200:
            return self.requests - self.refused
        return self.statuses.get(status, 0)


def command(program: str, load: Load) -> list[str]:
    """wrk's command line. One thread is sufficient for all servers here, and leaves the processors to them."""
    return [
        *(program, "--threads", "1", "--connections", str(load.connections)),
        *("--duration", f"{max(1, round(load.seconds))}s", "--timeout", _TIMEOUT),
        *("--script", str(SCRIPTS / f"{load.script}.lua"), f"http://127.0.0.1:{load.port}"),
    ]


def environment(load: Load) -> dict[str, str]:
    """The variables of the scripts."""
    return {
        "BENCH_SCRIPTS": str(SCRIPTS),
        "BENCH_HOST": f"127.0.0.1:{load.port}",
        "BENCH_TOKENS": str(load.tokens or ""),
        "BENCH_FIRST": str(load.first),
        "BENCH_COUNT": str(load.customers),
        "BENCH_THREADS": "1",
        "BENCH_KEY": load.key,
        **load.settings,
    }


def run(load: Load) -> Report:
    """Run the load; if there was no response in its time, again and for longer.

    Raises BenchmarkFailed if wrk failed.
    """
    report = _run(load)
    if not report.requests and not report.failed:
        # A busy machine needs more than a second for the first connections.
        report = _run(replace(load, seconds=load.seconds * _MORE_TIME))
    require_customers(load, report)
    return report


def _run(load: Load) -> Report:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(  # noqa: S603 - a fixed program, no shell
        command(program(), load),
        env={**os.environ, **environment(load)},
        capture_output=True,
        text=True,
        timeout=load.seconds + _GRACE_SECONDS,
        check=False,
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode:
        raise BenchmarkFailed(f"wrk ended with exit code {done.returncode}:\n{done.stdout}{done.stderr}")
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return parsed(done.stdout, done.stderr, cpu_seconds=used)


def require_customers(load: Load, report: Report) -> None:
    """Raise BenchmarkFailed if there were more requests than customers who may send one each."""
    if load.once and report.sent > load.customers:
        raise BenchmarkFailed(
            f"{report.sent} requests, and {load.customers} customers who may ask once. Measure for fewer --seconds."
        )


def parsed(output: str, complaints: str = "", *, cpu_seconds: float = 0.0) -> Report:
    """Parse the report that the scripts print last. Raises BenchmarkFailed if there is none."""
    lines = [line for line in output.splitlines() if line.startswith("{")]
    if not lines:
        raise BenchmarkFailed(f"wrk printed no report:\n{output}{complaints}")
    report: dict[str, Any] = json.loads(lines[-1])
    statuses = {int(status): count for status, count in report["statuses"].items()}
    if statuses and report["counted"] < report["requests"]:
        statuses[0] = report["requests"] - report["counted"]
    return Report(
        requests=report["requests"],
        seconds=report["duration_us"] / 1e6,
        statuses=statuses,
        refused=report["status"],
        failed=sum(report[kind] for kind in ("connect", "read", "write", "timeout")),
        sent=report["sent_most"],
        p50_ms=report["p50_us"] / 1_000,
        p95_ms=report["p95_us"] / 1_000,
        p99_ms=report["p99_us"] / 1_000,
        cpu_seconds=cpu_seconds,
    )


def program() -> str:
    """The path of wrk, which is installed from Debian's packages if possible. Raises ProgramMissing."""
    found = shutil.which("wrk")
    if found is None and os.geteuid() == 0 and shutil.which("apt-get"):
        for arguments in (["update", "-qq"], ["install", "-y", "-qq", "--no-install-recommends", "wrk"]):
            subprocess.run(["apt-get", *arguments], check=False, capture_output=True)  # noqa: S603, S607 - fixed
        found = shutil.which("wrk")
    if found is None:
        raise ProgramMissing(
            "wrk", "Install Debian's package `wrk` (apt-get install wrk), or build it and put it on PATH."
        )
    return found
