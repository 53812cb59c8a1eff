"""A complete shop, started like by a new user: `manage.py quickstart` in an empty folder.

Contains the process and its output. The requests are defined in the tests.
"""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any, Self

import requests

from commerce.embedded.ports import LOOPBACK, free_port
from tests.embedded.processes import wait_for
from tests.embedded.test_quickstart import NOT_GIVEN

START_SECONDS = 120.0


class Stack:
    """The command without any settings."""

    def __init__(self, folder: Path, **settings: str) -> None:
        self.folder = folder
        bare = {name: value for name, value in os.environ.items() if name not in {*NOT_GIVEN, "LOCK_REDIS_URL"}}
        self.environment = {**bare, "LOCAL_DIR": str(folder), "PORT": str(free_port()), **settings}
        self.output = (folder.parent / f"{folder.name}.output").open("w+")
        self.process = subprocess.Popen(
            [sys.executable, "manage.py", "quickstart"],
            env=self.environment,
            stdout=self.output,
            stderr=subprocess.STDOUT,
        )
        wait_for(lambda: self._is_up() or self.process.poll() is not None, limit_seconds=START_SECONDS)
        assert self.process.poll() is None, self.printed()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.stop(signal.SIGTERM)
        self.output.close()

    @property
    def run_file(self) -> Path:
        return self.folder / "run.json"

    def _is_up(self) -> bool:
        """Whether the web server answers. run.json contains the addresses by then."""
        try:
            return requests.get(f"http://{LOOPBACK}:{self.environment['PORT']}/readyz", timeout=5).ok
        except requests.RequestException:
            return False

    def run(self) -> dict[str, Any]:
        return dict(json.loads(self.run_file.read_text()))

    def printed(self) -> str:
        self.output.seek(0)
        return self.output.read()

    def descendants(self) -> set[int]:
        """The ids of all processes of the stack, including workers of workers."""
        parents = {}
        for entry in Path("/proc").glob("[0-9]*/stat"):
            try:
                parents[int(entry.parent.name)] = int(entry.read_text().rsplit(")", 1)[1].split()[1])
            except FileNotFoundError:
                continue
        found = {self.process.pid}
        while more := {pid for pid, parent in parents.items() if parent in found} - found:
            found |= more
        return found

    def stop(self, number: signal.Signals) -> int:
        self.process.send_signal(number)
        return self.process.wait(timeout=60)
