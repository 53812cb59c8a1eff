"""Three PostgreSQL servers under Patroni, with etcd, on the loopback: Debian's packages.

Contains their processes and folders. Patroni chooses the primary.
"""

import json
import os
import secrets
import shutil
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.request import Request, urlopen

import psycopg

from commerce.embedded.children import Account, Child, ChildSpec
from commerce.embedded.errors import EmbeddedError
from commerce.embedded.ports import LOOPBACK, accepts_connections, free_port
from commerce.embedded.postgres import _account, _servers_on
from tests.debian_postgres import PROGRAMS

NODES = 3
START_SECONDS = 90.0
WHOLE_SECONDS = 90.0
TTL_SECONDS = 20
"""How long a leader that does not respond stays leader: the minimum according to Patroni's documentation."""
PACKAGES = ("patroni", "etcd-server", "postgresql-15")

_CONFIGURATION = """\
scope: shop
name: {name}
restapi:
  listen: {host}:{rest_port}
  connect_address: {host}:{rest_port}
etcd3:
  host: {host}:{etcd_port}
bootstrap:
  dcs:
    ttl: {ttl}
    loop_wait: 2
    retry_timeout: 5
    # No COMMIT is acknowledged before a standby has it, and only that standby becomes the primary. Strict: not even
    # while there is no standby.
    synchronous_mode: true
    synchronous_mode_strict: true
    postgresql:
      use_pg_rewind: true
      parameters:
        max_connections: 200
        timezone: UTC
        jit: "off"
  initdb:
    - encoding: UTF8
    - locale: C
    - data-checksums
  pg_hba:
    - host replication replicator {host}/32 scram-sha-256
    - host all all {host}/32 scram-sha-256
postgresql:
  listen: {host}:{port}
  connect_address: {host}:{port}
  data_dir: {data}
  bin_dir: {programs}
  pgpass: {folder}/pgpass
  use_unix_socket: false
  remove_data_directory_on_rewind_failure: true
  remove_data_directory_on_diverged_timelines: true
  parameters:
    unix_socket_directories: ""
  authentication:
    superuser: {{username: postgres, password: {password}}}
    replication: {{username: replicator, password: {password}}}
    rewind: {{username: rewinder, password: {password}}}
"""


class ClusterUnavailable(EmbeddedError):
    """A required program is missing on this machine; the message names it."""


def install() -> None:
    """Install missing packages of Debian without starting their services. Raises ClusterUnavailable."""
    if shutil.which("patroni") and shutil.which("etcd") and (PROGRAMS / "postgres").exists():
        return
    apt = shutil.which("apt-get")
    if apt is None or os.geteuid() != 0:
        raise ClusterUnavailable(f"A cluster needs Debian's packages: `apt-get install {' '.join(PACKAGES)}`.")
    Path("/etc/postgresql-common").mkdir(exist_ok=True)
    Path("/etc/postgresql-common/createcluster.conf").write_text("create_main_cluster = false\n")
    for arguments in (["update", "-qq"], ["install", "-y", "-qq", "--no-install-recommends", *PACKAGES]):
        subprocess.run([apt, *arguments], check=True, stdout=subprocess.DEVNULL)  # noqa: S603  # ours
    if shutil.which("systemctl") and Path("/run/systemd/system").exists():
        subprocess.run(["systemctl", "disable", "--now", "etcd"], check=False)  # noqa: S607  # Debian starts it


class Node:
    """One Patroni with its PostgreSQL."""

    def __init__(self, name: str, folder: Path, *, logs: Path, etcd_port: int, password: str, account: Account | None):
        self.name = name
        self.port, self.rest_port = free_port(), free_port()
        self.data = folder / "data"
        folder.mkdir(parents=True)
        path = folder / "patroni.yml"
        path.write_text(
            _CONFIGURATION.format(
                name=name,
                host=LOOPBACK,
                port=self.port,
                rest_port=self.rest_port,
                etcd_port=etcd_port,
                ttl=TTL_SECONDS,
                data=self.data,
                folder=folder,
                programs=PROGRAMS,
                password=password,
            )
        )
        path.chmod(0o600)
        if account is not None:
            for each in (folder, path):
                os.chown(each, account.uid, account.gid)
        self._home = folder
        patroni = shutil.which("patroni") or "patroni"
        self.patroni = Child(
            ChildSpec(
                name=name,
                command=[patroni, str(path)],
                log_path=logs / f"{name}.log",
                account=account,
                # It shuts its PostgreSQL down, which would remain after a kill.
                orphan_signal=signal.SIGTERM,
                grace_seconds=30.0,
            )
        )

    def start(self) -> None:
        self.patroni.start({"PATH": os.environ["PATH"], "HOME": str(self._home), "LANG": "C.UTF-8"})

    def kill(self) -> None:
        """Like a power failure: Patroni and all processes of PostgreSQL are killed at once."""
        self.patroni.kill()
        for pid in _servers_on(self.data):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def receivers(self) -> list[int]:
        """The processes that receive the primary's WAL."""
        found = []
        for pid in _servers_on(self.data):
            with suppress(OSError):
                if b"walreceiver" in Path(f"/proc/{pid}/cmdline").read_bytes():
                    found.append(pid)
        return found

    def pause_patroni(self) -> None:
        """Stop its Patroni, not its PostgreSQL, which goes on serving with its last configuration."""
        assert self.patroni.pid is not None
        os.kill(self.patroni.pid, signal.SIGSTOP)

    def resume(self) -> None:
        for pid in (self.patroni.pid, *_servers_on(self.data)):
            with suppress(ProcessLookupError):
                if pid is not None:
                    os.kill(pid, signal.SIGCONT)

    def stop(self) -> None:
        self.resume()
        self.patroni.stop()
        if _servers_on(self.data):
            self.kill()


class PatroniCluster:
    """The cluster. `start`, `recover` and `let_go` are those of a `tests.faults.parts.Part`."""

    name = "postgres"

    def __init__(self, folder: Path, *, logs: Path) -> None:
        account = _account()
        self._password = secrets.token_hex(24)
        folder.mkdir(parents=True)
        for above in (folder, *folder.parents):
            if above.stat().st_uid == os.getuid():
                above.chmod(above.stat().st_mode | 0o001)
        self._etcd_port, peer_port = free_port(), free_port()
        clients, peers = f"http://{LOOPBACK}:{self._etcd_port}", f"http://{LOOPBACK}:{peer_port}"
        self._etcd = Child(
            ChildSpec(
                name="etcd",
                command=[
                    *(shutil.which("etcd") or "etcd", "--name", "etcd", "--data-dir", str(folder / "etcd")),
                    *("--listen-client-urls", clients, "--advertise-client-urls", clients),
                    *("--listen-peer-urls", peers, "--initial-advertise-peer-urls", peers),
                    *("--initial-cluster", f"etcd={peers}", "--logger", "zap"),
                ],
                log_path=logs / "etcd.log",
            )
        )
        self.nodes = [
            Node(
                f"node{number}",
                folder / f"node{number}",
                logs=logs,
                etcd_port=self._etcd_port,
                password=self._password,
                account=account,
            )
            for number in range(1, NODES + 1)
        ]

    def url(self, database: str) -> str:
        """All three servers, in the form of `DATABASE_URL`."""
        hosts = ",".join(f"{LOOPBACK}:{node.port}" for node in self.nodes)
        return f"postgresql://postgres:{self._password}@{hosts}/{database}?target_session_attrs=read-write"

    def start(self) -> None:
        """Start etcd and the nodes, beginning with the one that creates the database, and wait until all are ready."""
        self._etcd.start()
        self._etcd.wait_until_ready(lambda: accepts_connections(LOOPBACK, self._etcd_port), timeout_seconds=30)
        first, *others = self.nodes
        first.start()
        first.patroni.wait_until_ready(lambda: self.leader() is not None, timeout_seconds=START_SECONDS)
        for node in others:
            node.start()
        self._wait_until_whole()
        with psycopg.connect(self.url("postgres"), autocommit=True) as session:
            session.execute("CREATE DATABASE commerce")

    def members(self) -> Sequence[Mapping[str, Any]]:
        """The state of each node according to Patroni; empty if no node answers."""
        for node in self.nodes:
            with (
                suppress(URLError, OSError, ValueError),
                urlopen(f"http://{LOOPBACK}:{node.rest_port}/cluster", timeout=2) as answer,
            ):
                members: Sequence[Mapping[str, Any]] = json.load(answer)["members"]
                return members
        return []

    def leader(self) -> Node | None:
        return next((self._node(one) for one in self.members() if one["role"] == "leader"), None)

    def synchronous_standby(self) -> Node | None:
        return next((self._node(one) for one in self.members() if one["role"] == "sync_standby"), None)

    def switch_over(self) -> str:
        """Ask Patroni for a switchover to the synchronous standby; returns the response."""
        leader, candidate = self.leader(), self.synchronous_standby()
        assert leader is not None
        assert candidate is not None
        return _ask(leader, "switchover", {"leader": leader.name, "candidate": candidate.name})

    def is_whole(self) -> bool:
        """Every node is running, one is the leader, and one is its synchronous standby."""
        members = self.members()
        roles = [one["role"] for one in members]
        return (
            len(members) == NODES
            and all(one["state"] in ("running", "streaming") for one in members)
            and roles.count("leader") == 1
            and "sync_standby" in roles
        )

    def let_go(self) -> None:
        for node in self.nodes:
            node.resume()

    def recover(self) -> None:
        """Restart killed nodes and wait until the cluster is complete."""
        self.let_go()
        for node in self.nodes:
            if not node.patroni.running:
                node.start()
        self._wait_until_whole()

    def stop(self) -> None:
        leader = self.leader()
        for node in sorted(self.nodes, key=lambda node: node is leader):
            node.stop()
        self._etcd.stop()

    def _wait_until_whole(self) -> None:
        deadline = time.monotonic() + WHOLE_SECONDS
        while not self.is_whole():
            if time.monotonic() > deadline:
                raise ClusterUnavailable(f"The cluster is not whole after {WHOLE_SECONDS:.0f} s: {self.members()}")
            time.sleep(0.2)

    def _node(self, member: Mapping[str, Any]) -> Node:
        return next(node for node in self.nodes if node.name == member["name"])


def _ask(node: Node, action: str, body: Mapping[str, str]) -> str:
    """POST to Patroni's API; returns the response."""
    request = Request(f"http://{LOOPBACK}:{node.rest_port}/{action}", json.dumps(body).encode())  # ours
    with urlopen(request, timeout=60) as answer:  # noqa: S310  # the same
        text: str = answer.read().decode()
        return text
