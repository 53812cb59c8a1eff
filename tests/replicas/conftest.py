"""What the tests of several PostgreSQL servers have in common.

Skipped where the run was given a server: its programs may not be those that make a standby here.
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
    """For the data of servers. Not pytest's: the next run of pytest shuts the server's own user out of those."""
    return Path(tempfile.mkdtemp(prefix="standby-", dir=os.environ["LOCAL_DIR"]))
