"""Fixtures for tests of the embedded servers."""

import os
import tempfile
from pathlib import Path

import pytest


@pytest.fixture
def folder() -> Path:
    """Not pytest's own folder: another run of pytest removes the access of the user that PostgreSQL runs as."""
    return Path(tempfile.mkdtemp(dir=os.environ["LOCAL_DIR"]))
