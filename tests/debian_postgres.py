"""`python -m tests.debian_postgres tests/operations …`: pytest with the PostgreSQL of Debian's packages.

Starts a throwaway cluster of the oldest supported version, which is installed if it is missing.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg

from commerce.embedded.children import Account, Child, ChildSpec
from commerce.embedded.ports import LOOPBACK, free_port
from commerce.embedded.postgres import _account

VERSION = 15
PROGRAMS = Path(f"/usr/lib/postgresql/{VERSION}/bin")
_SETTINGS = ("fsync=off", "synchronous_commit=off", "full_page_writes=off", "max_connections=200", "jit=off")


def install() -> None:
    """Install the server if it is missing, without creating a cluster or starting a service."""
    if (PROGRAMS / "postgres").exists():
        return
    apt = shutil.which("apt-get")
    if apt is None or os.geteuid() != 0:
        sys.exit(f"There is no PostgreSQL {VERSION} here: `apt-get install postgresql-{VERSION}`.")
    Path("/etc/postgresql-common").mkdir(exist_ok=True)
    Path("/etc/postgresql-common/createcluster.conf").write_text("create_main_cluster = false\n")
    for arguments in (["update", "-qq"], ["install", "-y", "-qq", "--no-install-recommends", f"postgresql-{VERSION}"]):
        subprocess.run([apt, *arguments], check=True, stdout=subprocess.DEVNULL)  # noqa: S603 - ours


@contextmanager
def cluster(directory: Path, account: Account | None) -> Iterator[str]:
    """Start a server on a new cluster in `directory`; yields its URL."""
    port, folder = free_port(), directory / "cluster"
    identity = {} if account is None else {"user": account.uid, "group": account.gid, "extra_groups": []}
    subprocess.run(  # noqa: S603 - ours
        [PROGRAMS / "initdb", "-D", folder, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync"],
        check=True, cwd=directory, stdout=subprocess.DEVNULL, **identity,  # type: ignore[call-overload]  # as it says
    )  # fmt: skip
    options = [part for setting in _SETTINGS for part in ("-c", setting)]
    command = [str(PROGRAMS / "postgres"), "-D", str(folder), "-p", str(port), "-h", LOOPBACK, "-k", "", *options]
    server = Child(ChildSpec(name="postgres", command=command, log_path=directory / "postgres.log", account=account))
    server.start()
    try:
        url = f"postgresql://postgres:trusted@{LOOPBACK}:{port}"
        server.wait_until_ready(lambda: _is_ready(f"{url}/postgres"), timeout_seconds=60)
        with psycopg.connect(f"{url}/postgres", autocommit=True) as session:
            session.execute("CREATE DATABASE commerce")
        yield f"{url}/commerce"
    finally:
        server.stop()


def _is_ready(url: str) -> bool:
    try:
        psycopg.connect(url).close()
    except psycopg.OperationalError:
        return False
    return True


if __name__ == "__main__":
    install()
    account = _account()
    with tempfile.TemporaryDirectory(prefix="commerce-debian-postgres-") as name:
        directory = Path(name)
        directory.chmod(0o711)
        if account is not None:
            os.chown(directory, account.uid, account.gid)
        with cluster(directory, account) as url:
            command = [sys.executable, "-m", "pytest", "-n", "2", "--dist", "worksteal", *sys.argv[1:]]
            ended = subprocess.run(command, env={**os.environ, "DATABASE_URL": url}, check=False)  # noqa: S603 - ours
    sys.exit(ended.returncode)
