"""Fixtures for tests with several PostgreSQL servers.

Skipped if the run was given a server: the local programs may not match it, and could not create a standby.
"""

import os
import tempfile
from pathlib import Path

import pytest
from django.db import connection

from tests.servers import OWN_POSTGRES


@pytest.fixture(autouse=True)
def own_server() -> None:
    if OWN_POSTGRES not in os.environ:
        pytest.skip("The PostgreSQL of this run is not the embedded one, whose programs make the standbys.")


def primary_url() -> str:
    """The test's own database."""
    given = connection.settings_dict
    return f"postgresql://{given['USER']}:{given['PASSWORD']}@{given['HOST']}:{given['PORT']}/{given['NAME']}"


def new_folder() -> Path:
    """A folder for servers. Not pytest's: the next run of pytest removes the access of the server's user."""
    return Path(tempfile.mkdtemp(prefix="standby-", dir=os.environ["LOCAL_DIR"]))
