"""The stack of `make run`: its folder, its addresses in run.json, and whether it is running.

Only reads and writes files of that folder. A run.json of a stack that has died is ignored.
"""

import fcntl
import json
import os
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from commerce.embedded.children import PROJECT_ROOT
from commerce.embedded.errors import AlreadyRunning

_RUN_FILE = "run.json"
_LOCK_FILE = "quickstart.lock"
_LOCK_TRIES = 20
_LOCK_PAUSE_SECONDS = 0.05


@dataclass(frozen=True, kw_only=True)
class RunFile:
    """The content of run.json.

    Attributes:
        environment: the variables with which every manage.py command uses the same stack. They include secrets, so only
            the owner may read the file.
    """

    web: str
    database_url: str
    redis_url: str
    kafka_bootstrap_servers: str
    data_platform_url: str
    pid: int
    environment: dict[str, str]


def local_dir() -> Path:
    """The data folder of the stack: LOCAL_DIR, by default `.local`; relative to the project."""
    return (PROJECT_ROOT / (os.environ.get("LOCAL_DIR") or ".local")).resolve()


def embedded_environment() -> dict[str, str]:
    """The variables of the stack that is running in LOCAL_DIR; empty if there is none or it belongs to another user."""
    directory = local_dir()
    try:
        content = (directory / _RUN_FILE).read_bytes()
    except OSError:
        return {}
    if not is_running(directory):
        return {}
    return RunFile(**json.loads(content)).environment


def write_run_file(directory: Path, run: RunFile) -> None:
    """Publish the stack's addresses atomically: readers see either the old or the new content."""
    unfinished = directory / f".{_RUN_FILE}.{os.getpid()}"
    unfinished.unlink(missing_ok=True)
    unfinished.touch(mode=0o600)
    unfinished.write_text(json.dumps(asdict(run), indent=2) + "\n")
    unfinished.replace(directory / _RUN_FILE)


def remove_run_file(directory: Path) -> None:
    """Remove run.json, because no stack is running here any more."""
    (directory / _RUN_FILE).unlink(missing_ok=True)


@contextmanager
def sole_stack(directory: Path) -> Iterator[None]:
    """Make sure that this is the only stack in a folder during the block.

    The running stack holds a file lock, which the kernel releases when the process ends in any way. A process id is not
    sufficient, because it can be reused by another program.

    Raises:
        AlreadyRunning: another stack is running in the folder.
    """
    directory.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(directory / _LOCK_FILE, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        # `is_running` of another process holds the lock for a moment; only a stack holds it longer.
        for attempt in range(_LOCK_TRIES):
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError as error:
                if attempt == _LOCK_TRIES - 1:
                    raise AlreadyRunning(directory) from error
                time.sleep(_LOCK_PAUSE_SECONDS)
        # Any run.json that exists now was left by a stack that has died.
        remove_run_file(directory)
        try:
            yield
        finally:
            remove_run_file(directory)
    finally:
        os.close(descriptor)


def is_running(directory: Path) -> bool:
    """Whether a stack is running in the folder."""
    try:
        descriptor = os.open(directory / _LOCK_FILE, os.O_RDWR)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def kept_secret(directory: Path, name: str) -> str:
    """A random secret of 64 characters, created once and stored in the folder, readable only by its owner."""
    path = directory / name
    with suppress(FileExistsError):
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(secrets.token_urlsafe(48))
    return path.read_text().strip()
