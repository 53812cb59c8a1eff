"""PgBouncer in transaction mode in front of a test's PostgreSQL; `python -m tests.poolers.pgbouncer` installs it.

Contains the pooler's process and a role with the shop's timeouts.
"""

import os
import secrets
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
from django.conf import settings
from django.db import connection
from psycopg import sql

from commerce.core.postgresql.server import LIMITS
from commerce.embedded.children import Child, ChildSpec
from commerce.embedded.ports import LOOPBACK, accepts_connections, free_port
from commerce.embedded.postgres import _account

POOL_SIZE = 4
"""Sessions on the server, shared by all clients."""


class PgBouncerUnavailable(Exception):
    """PgBouncer is missing and cannot be installed; the message explains what to do."""


def pgbouncer() -> str:
    """The path of the program: PGBOUNCER or the installed one. Raises PgBouncerUnavailable."""
    found = os.environ.get("PGBOUNCER") or shutil.which("pgbouncer", path=f"{os.environ['PATH']}:/usr/sbin")
    if found is None:
        raise PgBouncerUnavailable("There is no PgBouncer here: `apt-get install pgbouncer`, or set PGBOUNCER.")
    return found


def install() -> str:
    """The path of the program, installed from Debian's packages if needed. Raises PgBouncerUnavailable."""
    try:
        return pgbouncer()
    except PgBouncerUnavailable:
        apt = shutil.which("apt-get")
        if apt is None or os.geteuid() != 0:
            raise
    for arguments in (["update", "-qq"], ["install", "-y", "-qq", "--no-install-recommends", "pgbouncer"]):
        subprocess.run([apt, *arguments], check=True, stdout=subprocess.DEVNULL)  # noqa: S603 - ours
    return pgbouncer()


@contextmanager
def pooled_database(directory: Path, *, with_limits: bool = True) -> Iterator[str]:
    """The URL of the test's database through a pooler, as a role with or without the shop's timeouts."""
    role, password, port = f"pooled_{secrets.token_hex(4)}", secrets.token_hex(12), free_port()
    given = connection.settings_dict
    owner = f"host={given['HOST']} port={given['PORT']} dbname={given['NAME']} user={given['USER']}"
    with psycopg.connect(owner, password=given["PASSWORD"], autocommit=True) as session:
        name = sql.Identifier(role)
        session.execute(sql.SQL("CREATE ROLE {} LOGIN SUPERUSER PASSWORD {}").format(name, password))
        for parameter, setting in LIMITS.items() if with_limits else ():
            session.execute(
                sql.SQL("ALTER ROLE {} SET {} = {}").format(name, sql.Identifier(parameter), getattr(settings, setting))
            )
        pooler = _pooler(directory, port=port, role=role, password=password)
        pooler.start()
        try:
            pooler.wait_until_ready(lambda: accepts_connections(LOOPBACK, port), timeout_seconds=20)
            yield f"postgresql://{role}:{password}@{LOOPBACK}:{port}/{given['NAME']}"
        finally:
            pooler.stop()
            session.execute(sql.SQL("DROP ROLE {}").format(name))


def _pooler(directory: Path, *, port: int, role: str, password: str) -> Child:
    given, account = connection.settings_dict, _account()
    directory.mkdir()
    users, configuration = directory / "users.txt", directory / "pgbouncer.ini"
    users.write_text(f'"{role}" "{password}"\n')
    configuration.write_text(
        f"""[databases]
* = host={given["HOST"]} port={given["PORT"]}
[pgbouncer]
listen_addr = {LOOPBACK}
listen_port = {port}
unix_socket_dir =
auth_type = plain
auth_file = {users}
pool_mode = transaction
default_pool_size = {POOL_SIZE}
max_client_conn = 200
# What a client's driver asks for, and an administrator therefore lets through.
ignore_startup_parameters = options,extra_float_digits
"""
    )
    if account is not None:
        for path in (directory, users, configuration):
            os.chown(path, account.uid, account.gid)
        for folder in directory.parents:
            if folder.owner() == "root" or folder.stat().st_uid == os.getuid():
                folder.chmod(folder.stat().st_mode | 0o001)
    return Child(
        ChildSpec(
            name="pgbouncer",
            command=[pgbouncer(), str(configuration)],
            log_path=directory.with_name("pgbouncer.log"),
            account=account,
        )
    )


if __name__ == "__main__":
    try:
        print(install())
    except (PgBouncerUnavailable, subprocess.CalledProcessError) as failure:
        sys.exit(str(failure))
