"""F10: the disk of PostgreSQL's WAL is full."""

import re
from contextlib import suppress
from pathlib import Path

import psycopg
from django.db import connection

from tests.faults.f08_postgres_broken import PROMISED_COMMITS
from tests.faults.fault import Fault, NotFired, Run
from tests.faults.shop import Variant

_SEGMENTS_PER_LOG = 256
_SAID_WITHIN_SECONDS = 4.0
_TRIES = 3
_SWITCH = "SELECT pg_switch_wal()"
_SAYS = b"No space left on device"


class DiskFull(Fault):
    """The next WAL segment is /dev/full: each write to it fails with ENOSPC.

    PostgreSQL cannot go on: it ends every session, recovers from what it has, and ends again when it gets there again.
    """

    number = "F10c"
    title = "PostgreSQL's disk full"
    protection = "COMMIT returns when it is on disk"
    control_shows = "was acknowledged, and its"
    gap_seconds = (0.5, 1.0)
    hold_seconds = (0.5, 1.5)
    most_shots = 10

    def __init__(self) -> None:
        self._full: Path | None = None

    def control(self) -> Variant:
        return PROMISED_COMMITS

    def strike(self, run: Run) -> str:
        for _ in range(_TRIES):
            if segment := self._full_segment(run):
                return f"no space for segment {segment}"
            self.heal(run)
        raise NotFired("PostgreSQL did not want for space")

    def _full_segment(self, run: Run) -> str | None:
        """The segment without space; None if PostgreSQL continued in a segment that it had opened before."""
        connection.close()
        log = run.servers.logs / "postgres.log"
        began = log.stat().st_size
        with psycopg.connect(run.servers.database_url("postgres"), autocommit=True) as administrator:
            # The current segment has just begun, so the next one is not needed for a while.
            administrator.execute(_SWITCH)
            row = administrator.execute("SELECT pg_walfile_name(pg_current_wal_insert_lsn())").fetchone()
            assert row is not None
            self._full = run.servers.folder / "postgres" / "pg_wal" / _after(row[0])
            # It may have been created in advance, and is empty.
            self._full.unlink(missing_ok=True)
            self._full.symlink_to("/dev/full")
            # The server may stop before it answers.
            with suppress(psycopg.OperationalError):
                administrator.execute(_SWITCH)
        wanted = run.wait_until(lambda: _SAYS in log.read_bytes()[began:], seconds=_SAID_WITHIN_SECONDS)
        return self._full.name if wanted else None

    def heal(self, run: Run) -> None:
        if self._full is not None and self._full.is_symlink():
            self._full.unlink()
        self._full = None
        if not run.servers.postgres.running:
            run.servers.postgres.start()
        connection.close()


def _after(segment: str) -> str:
    """The name of the next segment: timeline, log and number, eight hexadecimal digits each."""
    timeline, log, number = (int(part, 16) for part in re.findall(".{8}", segment))
    position = log * _SEGMENTS_PER_LOG + number + 1
    return f"{timeline:08X}{position // _SEGMENTS_PER_LOG:08X}{position % _SEGMENTS_PER_LOG:08X}"
