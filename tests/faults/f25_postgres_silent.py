"""F25 and F26: PostgreSQL keeps its connections, but does not answer."""

import os
import signal
from pathlib import Path

import psycopg
from django.db import connection
from psycopg import sql

from tests.faults.fault import Fault, Run
from tests.faults.shop import Variant

_PATIENT = Variant(
    settings={
        "DATABASE_STATEMENT_TIMEOUT_MS": "60000",
        "DATABASE_ANSWER_SECONDS": "90",
        "TRANSACTION_SECONDS": "90",
    }
)


class _PostgresSilent(Fault):
    """A write may have been executed or may still be executed: its outcome is unknown, and a retry returns it."""

    in_short = False
    gap_seconds = (1.0, 2.0)
    hold_seconds = (30.0, 30.0)
    most_shots = 2
    slowest_order_seconds = 10.0
    protection = "a request waits for an answer of PostgreSQL as long as it may, and no longer"
    control_shows = "longer than any request may"

    def control(self) -> Variant:
        return _PATIENT


class PostgresFrozen(_PostgresSilent):
    """Like a virtual machine that is being migrated, or a disk that hangs."""

    number = "F25"
    title = "PostgreSQL frozen for 30 s"

    def strike(self, run: Run) -> str:
        self._frozen = [run.servers.postgres.pid]
        # The postmaster first, so that it starts no new processes.
        os.kill(self._frozen[0], signal.SIGSTOP)
        for pid in _children(self._frozen[0]):
            os.kill(pid, signal.SIGSTOP)
            self._frozen.append(pid)
        return f"PostgreSQL {self._frozen[0]} and {len(self._frozen) - 1} of its processes stopped"

    def heal(self, run: Run) -> None:
        for pid in self._frozen:
            os.kill(pid, signal.SIGCONT)
        # The harness also uses the database.
        connection.close()


class CommitWaits(_PostgresSilent):
    """The standby that every COMMIT waits for is absent."""

    number = "F26"
    title = "COMMIT waits for an absent standby for 30 s"

    def strike(self, run: Run) -> str:
        _wait_for_standby(run, "absent")
        return "COMMIT waits for a standby that is absent"

    def heal(self, run: Run) -> None:
        _wait_for_standby(run, "")


def _children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def _wait_for_standby(run: Run, name: str) -> None:
    with psycopg.connect(run.servers.database_url("postgres"), autocommit=True) as administrator:
        administrator.execute(sql.SQL("ALTER SYSTEM SET synchronous_standby_names = {}").format(name))
        administrator.execute("SELECT pg_reload_conf()")
