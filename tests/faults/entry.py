"""How a process of the shop under test begins: it becomes the product, then takes on what the harness asks for.

Owns the variables that the harness passes on; never changes the product's code, only what its names stand for in this
process.
"""

import os
import sys
from pathlib import Path

from django.utils.module_loading import import_string

FOLDER = "FAULT_POINTS"
"""The folder in which failpoints are armed."""
ROLE = "FAULT_ROLE"
"""What the process is: `web`, `relay` or `consumer`."""
WORKERS = "FAULT_WORKERS"
"""The folder in which each web worker leaves its process id."""
PATCHES = "FAULT_PATCHES"
"""Dotted names of functions to call, separated by commas."""
POINTS_HEADER = "X-Fault-Points"
"""What a request calls its own failpoints, so that a fault can strike this one and no other."""


def faulty_manage(*arguments: str) -> list[str]:
    """A manage.py command line whose process has failpoints and patches."""
    return [sys.executable, "-m", "tests.faults.manage", *arguments]


def take_on_faults() -> None:
    """Install the failpoints and call the patches; Django is set up."""
    # The product's modules must be the ones that are patched, so this waits until they exist.
    from tests.faults.seams import install

    install()
    for name in filter(None, os.environ.get(PATCHES, "").split(",")):
        import_string(name)()


def leave_process_id() -> None:
    """Tell the harness which process serves."""
    (Path(os.environ[WORKERS]) / str(os.getpid())).touch()
