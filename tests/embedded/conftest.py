"""What the tests of the embedded servers may ask for."""

import os
import tempfile
from pathlib import Path

import pytest


@pytest.fixture
def folder() -> Path:
    """Not pytest's own: another run of pytest makes those unreachable for the user that PostgreSQL runs as."""
    return Path(tempfile.mkdtemp(dir=os.environ["LOCAL_DIR"]))
