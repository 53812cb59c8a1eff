"""Runs `manage.py` commands on the servers and the database of the running test, as processes or in this one."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Any
from urllib.parse import quote

from django.conf import settings
from django.core.management import get_commands, load_command_class
from django.db import connection

from tests.together import PATIENCE_SECONDS

MANAGE = str(Path(settings.BASE_DIR) / "manage.py")


class Managed:
    """A running command."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self.process = process
        self.lines: list[str] = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def printed(self, text: str) -> bool:
        """Whether a line with `text` has been printed so far."""
        return any(text in line for line in list(self.lines))

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Send the signal and return the exit code."""
        self.process.send_signal(number)
        code = self.process.wait(timeout=PATIENCE_SECONDS)
        self._reader.join(timeout=PATIENCE_SECONDS)
        return code

    def _read(self) -> None:
        assert self.process.stdout is not None
        self.lines.extend(iter(self.process.stdout.readline, ""))


@contextmanager
def managed(*arguments: str, environment: Mapping[str, str] | None = None) -> Iterator[Managed]:
    """Run the command in the background; it is killed after the block, if it has not ended by then."""
    with subprocess.Popen(  # noqa: S603  # our own command
        [sys.executable, MANAGE, *arguments],
        env=_environment(environment or {}),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        try:
            yield Managed(process)
        finally:
            process.kill()


def run(*arguments: str, environment: Mapping[str, str] | None = None) -> "subprocess.CompletedProcess[str]":
    """Run the command to its end."""
    return subprocess.run(  # noqa: S603  # our own command
        [sys.executable, MANAGE, *arguments],
        env=_environment(environment or {}),
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE_SECONDS,
    )


@dataclass(frozen=True)
class Ended:
    """How a command ended in this process: its exit code and what it printed."""

    returncode: str | int | None
    stdout: str
    stderr: str


def call(*arguments: str) -> Ended:
    """Run the command to its end in this process: a second quicker than `run`, with the settings of the test."""
    name = arguments[0]
    code: str | int | None = 0
    with redirect_stdout(StringIO()) as out, redirect_stderr(StringIO()) as err:
        try:
            # Unlike `call_command` it parses arguments, prints errors and exits as on a command line.
            load_command_class(get_commands()[name], name).run_from_argv(["manage.py", *arguments])
        except SystemExit as end:
            code = end.code
    return Ended(code, out.getvalue(), err.getvalue())


def _environment(changes: Mapping[str, str]) -> dict[str, str]:
    database: dict[str, Any] = connection.settings_dict
    user, host = quote(database["USER"]), quote(database["HOST"], safe="")
    password = f":{quote(database['PASSWORD'])}" if database["PASSWORD"] else ""
    return {
        **os.environ,
        "DATABASE_URL": f"postgresql://{user}{password}@{host}:{database['PORT']}/{database['NAME']}",
        "KAFKA_BOOTSTRAP_SERVERS": settings.KAFKA_BOOTSTRAP_SERVERS,
        "KAFKA_TOPIC_PREFIX": settings.KAFKA_TOPIC_PREFIX,
        "DATA_PLATFORM_URL": settings.DATA_PLATFORM_URL,
        "PYTHONUNBUFFERED": "1",
        **changes,
    }
