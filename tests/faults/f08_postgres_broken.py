"""F8: PostgreSQL is restarted, crashes or loses sessions under load."""

import os
import signal
from typing import Any

import psycopg
from django.db import connection

from commerce.core.postgresql.base import DatabaseWrapper
from tests.faults.fault import Fault, NotFired, Run
from tests.faults.shop import Variant

PROMISED_COMMITS = Variant(patches=("tests.faults.f08_postgres_broken.commit_is_a_promise",))
_SESSIONS = "SELECT pid FROM pg_stat_activity WHERE datname = %s AND pid <> pg_backend_pid()"
_ENDS_WITHIN_SECONDS = 10.0


class _PostgresBroken(Fault):
    """Sessions are lost at any point. Acknowledged writes must exist."""

    gap_seconds = (0.5, 1.5)
    hold_seconds = (0.5, 2.0)
    most_shots = 20

    def heal(self, run: Run) -> None:
        if not run.servers.postgres.running:
            run.servers.postgres.start()
        # The harness also uses the database.
        connection.close()


class _PostgresCrashed(_PostgresBroken):
    """Nothing is flushed at its end, so only data that was on disk remains."""

    protection = "COMMIT returns when it is on disk"
    control_shows = "was acknowledged, and its"

    def control(self) -> Variant:
        return PROMISED_COMMITS


class _SessionsLost(_PostgresBroken):
    protection = "the answer is kept in the transaction of its effect"
    control_shows = "was answered, and kept is nothing"

    def control(self) -> Variant:
        return Variant(patches=("tests.faults.weakened.answers_written_later",))


class PostgresRestarted(_SessionsLost):
    """Fast shutdown: sessions are terminated, data is flushed."""

    number = "F8a"
    title = "PostgreSQL restarted"
    in_short = False

    def strike(self, run: Run) -> str:
        pid, lost = run.servers.postgres.pid, len(_sessions(run))
        run.servers.postgres.stop()
        return f"PostgreSQL {pid} shut down with {lost} sessions"


class PostgresShutDownAtOnce(_PostgresCrashed):
    """Immediate shutdown: nothing is flushed."""

    number = "F8b"
    in_short = False
    title = "PostgreSQL shut down at once"

    def strike(self, run: Run) -> str:
        pid, lost = run.servers.postgres.pid, len(_sessions(run))
        os.kill(pid, signal.SIGQUIT)
        if not run.wait_until(lambda: not run.servers.postgres.running, seconds=_ENDS_WITHIN_SECONDS):
            raise NotFired(f"PostgreSQL {pid} survived SIGQUIT")
        return f"PostgreSQL {pid} gone with {lost} sessions"


class PostmasterKilled(_PostgresCrashed):
    """Its sessions live until they notice, and a new server cannot start while they do."""

    number = "F8c"
    title = "postmaster kill -9"

    def strike(self, run: Run) -> str:
        pid, lost = run.servers.postgres.pid, len(_sessions(run))
        run.servers.postgres.kill()
        return f"postmaster {pid} killed over {lost} sessions"


class SessionKilled(_PostgresCrashed):
    """The postmaster treats the death of one backend as corruption: it ends all others and performs recovery."""

    number = "F8d"
    title = "one PostgreSQL session kill -9"
    hold_seconds = (0.0, 0.0)

    def strike(self, run: Run) -> str:
        sessions = _sessions(run)
        if not sessions:
            raise NotFired("the shop has no session")
        pid = run.random.choice(sessions)
        os.kill(pid, signal.SIGKILL)
        # All other backends have to end before the server accepts new ones.
        if not run.wait_until(lambda: not set(sessions) & set(_sessions(run)), seconds=_ENDS_WITHIN_SECONDS):
            raise NotFired(f"the other sessions survived the death of {pid}")
        return f"session {pid} killed, {len(sessions)} lost"


class SessionsTerminated(_SessionsLost):
    """As by an administrator or a failover."""

    number = "F8e"
    in_short = False
    title = "PostgreSQL sessions terminated"
    hold_seconds = (0.0, 0.0)
    most_shots = 50

    def strike(self, run: Run) -> str:
        with psycopg.connect(run.servers.database_url("postgres"), autocommit=True) as administrator:
            rows = administrator.execute(
                f"SELECT pg_terminate_backend(pid) FROM ({_SESSIONS}) AS session",  # noqa: S608 - a constant
                [run.shop.database],
            ).fetchall()
        if not rows:
            raise NotFired("the shop has no session")
        return f"{len(rows)} sessions terminated"


def _sessions(run: Run) -> list[int]:
    """The process ids of the shop's sessions, ordered; empty while the server accepts none."""
    try:
        with psycopg.connect(run.servers.database_url("postgres"), autocommit=True) as administrator:
            return sorted(row[0] for row in administrator.execute(_SESSIONS, [run.shop.database]))
    except psycopg.OperationalError:
        return []


def commit_is_a_promise() -> None:
    """COMMIT returns before the data is on disk."""
    connect = DatabaseWrapper.get_new_connection

    def without_waiting(self: DatabaseWrapper, conn_params: dict[str, Any]) -> Any:
        options = f"{conn_params['options']} -c synchronous_commit=off"
        return connect(self, {**conn_params, "options": options})

    DatabaseWrapper.get_new_connection = without_waiting  # type: ignore[method-assign]  # that is the point
