"""A migrated database that the workers of a parallel run copy, so that the migrations run once and not in each worker.

`python -m tests.migrated` creates it on the server of DATABASE_URL, while the workers collect their tests.
"""

import os
import sys
import time
import traceback
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import psycopg
from psycopg import sql

from commerce.embedded.children import Child, ChildSpec

NAME = "migrated"
_MADE = "TEST_MIGRATED_DATABASE"
"""Set for the workers if the run makes the database: the file that is written when it is complete, empty unless the
migrations failed."""
_WITHIN_SECONDS = 300.0


def start_making(logs: Path) -> Child:
    """Make the database in the background. Needs the settings of the run in the environment."""
    url = urlsplit(os.environ["DATABASE_URL"])
    with psycopg.connect(os.environ["DATABASE_URL"], autocommit=True) as session:
        session.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(NAME)))
    os.environ[_MADE] = str(logs / "migrated.made")
    command = [sys.executable, "-m", "tests.migrated"]
    making = Child(ChildSpec(name="migrated", command=command, log_path=logs / "migrated.log"))
    making.start({**os.environ, "DATABASE_URL": urlunsplit(url._replace(path=f"/{NAME}"))})
    return making


def is_made() -> bool:
    """Whether the run makes the database; waits until it has been made."""
    if _MADE not in os.environ:
        return False
    made = Path(os.environ[_MADE])
    deadline = time.monotonic() + _WITHIN_SECONDS
    while not made.exists():
        assert time.monotonic() < deadline, "the migrated database was not made in time"
        time.sleep(0.05)
    failure = made.read_text()
    assert not failure, failure
    return True


def _make() -> None:
    os.environ["DJANGO_SETTINGS_MODULE"] = "commerce.settings"
    import django
    from django.core.management import call_command
    from django.db import connections

    django.setup()
    # As the creation of a test database does.
    call_command("migrate", interactive=False, run_syncdb=True, verbosity=0)
    # A database with open sessions cannot be copied.
    connections.close_all()


if __name__ == "__main__":
    failure = ""
    try:
        _make()
    except Exception:
        failure = traceback.format_exc()
        raise
    finally:
        made = Path(os.environ[_MADE])
        unfinished = made.with_suffix(".unfinished")
        unfinished.write_text(failure)
        unfinished.replace(made)
