"""The start of a process of the shop under test: sets the product up, then installs failpoints and patches.

The harness passes their names in environment variables. The code of the product is not changed on disk, only in the
memory of this process.
"""

import os
import sys
from pathlib import Path

from django.utils.module_loading import import_string

FOLDER = "FAULT_POINTS"
"""The folder in which failpoints are armed."""
ROLE = "FAULT_ROLE"
"""The kind of process: `web`, `relay` or `consumer`."""
WORKERS = "FAULT_WORKERS"
"""The folder in which each web worker writes its process id."""
PATCHES = "FAULT_PATCHES"
"""Dotted names of functions to call, separated by commas."""
POINTS_HEADER = "X-Fault-Points"
"""A prefix for the failpoints of a request, so that a fault can affect this request only."""


def faulty_manage(*arguments: str) -> list[str]:
    """The command line of a manage.py command with failpoints and patches."""
    return [sys.executable, "-m", "tests.faults.manage", *arguments]


def take_on_faults() -> None:
    """Install the failpoints and call the patches. Django must be set up."""
    # Imported here, because the modules of the product must exist before they are patched.
    from tests.faults.seams import install

    install()
    for name in filter(None, os.environ.get(PATCHES, "").split(",")):
        import_string(name)()


def leave_process_id() -> None:
    """Write the process id of this worker for the harness."""
    (Path(os.environ[WORKERS]) / str(os.getpid())).touch()
