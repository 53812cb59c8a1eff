"""The stack that `make run` keeps: its folder, its addresses in run.json, and whether it is alive.

Reads and writes files of that folder only; a run.json that a dead stack left behind is never believed.
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
    """What run.json says.

    Attributes:
        environment: the variables with which every manage.py command works on the same stack. Secrets are among
            them, so the file is its owner's alone.
    """

    web: str
    database_url: str
    redis_url: str
    kafka_bootstrap_servers: str
    data_platform_url: str
    pid: int
    environment: dict[str, str]


def local_dir() -> Path:
    """Where the stack keeps its data: LOCAL_DIR, `.local` when not set; relative to the project."""
    return (PROJECT_ROOT / (os.environ.get("LOCAL_DIR") or ".local")).resolve()


def embedded_environment() -> dict[str, str]:
    """The variables of the stack that runs in LOCAL_DIR now; empty when none does, or another user's."""
    directory = local_dir()
    try:
        content = (directory / _RUN_FILE).read_bytes()
    except OSError:
        return {}
    if not is_running(directory):
        return {}
    return RunFile(**json.loads(content)).environment


def write_run_file(directory: Path, run: RunFile) -> None:
    """Publish the stack's addresses. A reader sees the old content or the new, never a part."""
    unfinished = directory / f".{_RUN_FILE}.{os.getpid()}"
    unfinished.unlink(missing_ok=True)
    unfinished.touch(mode=0o600)
    unfinished.write_text(json.dumps(asdict(run), indent=2) + "\n")
    unfinished.replace(directory / _RUN_FILE)


def remove_run_file(directory: Path) -> None:
    """Say that no stack runs here."""
    (directory / _RUN_FILE).unlink(missing_ok=True)


@contextmanager
def sole_stack(directory: Path) -> Iterator[None]:
    """Be the one stack of a folder for the length of the block.

    The proof of life is a lock that the kernel drops with the process, however it dies: a process id could have
    been given to another program meanwhile.

    Raises:
        AlreadyRunning: another process is.
    """
    directory.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(directory / _LOCK_FILE, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        # A reader that looks whether we live holds the lock for a moment; only a stack holds it for longer.
        for attempt in range(_LOCK_TRIES):
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError as error:
                if attempt == _LOCK_TRIES - 1:
                    raise AlreadyRunning(directory) from error
                time.sleep(_LOCK_PAUSE_SECONDS)
        # What is there now is a dead stack's.
        remove_run_file(directory)
        try:
            yield
        finally:
            remove_run_file(directory)
    finally:
        os.close(descriptor)


def is_running(directory: Path) -> bool:
    """Whether a stack lives in the folder at this moment."""
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
    """A random secret of 64 characters, made once and kept in the folder, readable by its owner only."""
    path = directory / name
    with suppress(FileExistsError):
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(secrets.token_urlsafe(48))
    return path.read_text().strip()
