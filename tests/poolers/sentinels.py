"""A Redis primary, its replica, and the Sentinels that promote the replica.

Contains their processes in a folder of the test.
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

import redis

from commerce.embedded.children import Child, ChildSpec
from commerce.embedded.ports import LOOPBACK, accepts_connections, free_port
from commerce.embedded.redis_server import _program
from tests.together import wait_until

SERVICE = "shop"
PASSWORD = "the-password-of-both-servers"
_SENTINELS = 3


class Servers:
    """The running servers. `recover` and `let_go` are those of a `tests.faults.parts.Part`."""

    def __init__(self, nodes: list[Child], ports: list[int], sentinel_ports: list[int]) -> None:
        self._nodes = nodes
        self._ports = ports
        self._sentinel_ports = sentinel_ports
        self.lead_again: int | None = None
        """The port of the server that is the primary again after `recover`; None: the one that is by then."""

    @property
    def url(self) -> str:
        sentinels = ",".join(f"{LOOPBACK}:{port}" for port in self._sentinel_ports)
        return f"redis+sentinel://:{PASSWORD}@{sentinels}/{SERVICE}/0"

    def primary_port(self) -> int:
        """According to the first Sentinel."""
        with redis.Redis(LOOPBACK, self._sentinel_ports[0]) as sentinel:
            return int(sentinel.sentinel_get_master_addr_by_name(SERVICE)[1])

    def kill_the_primary(self) -> None:
        """Wait until the Sentinels have promoted the replica."""
        port = self.primary_port()
        self._nodes[self._ports.index(port)].kill()
        wait_until(lambda: self.primary_port() != port, "the fail-over")

    def recover(self) -> None:
        """Restart a killed server as a replica, wait until it has all data, and let `lead_again` be the primary."""
        for node, port in zip(self._nodes, self._ports, strict=True):
            if not node.running:
                _run(node, port)
                with self._client(port) as replica:
                    replica.replicaof(LOOPBACK, self.primary_port())
                wait_until(self._is_whole, "the replica")
        if self.lead_again not in (None, self.primary_port()):
            self._fail_over()
            wait_until(self._is_whole, "the former primary")
        self.lead_again = None

    def let_go(self) -> None:
        """Servers are not paused."""

    def _fail_over(self) -> None:
        """Ask a Sentinel to promote the replica."""
        before = self.primary_port()

        def begun() -> bool:
            with redis.Redis(LOOPBACK, self._sentinel_ports[0]) as sentinel, suppress(redis.ResponseError):
                # Refused while this Sentinel has not seen the replica.
                sentinel.execute_command("SENTINEL", "FAILOVER", SERVICE)
                return True
            return False

        wait_until(begun, "a Sentinel that begins a fail-over")
        wait_until(lambda: self.primary_port() != before, "the fail-over")

    def _is_whole(self) -> bool:
        """Whether the primary has a replica with all data."""
        with self._client(self.primary_port()) as primary:
            replication: Any = primary.info("replication")
        return bool(replication["role"] == "master" and replication.get("slave0", {}).get("state") == "online")

    def _client(self, port: int) -> redis.Redis:
        return redis.Redis(LOOPBACK, port, password=PASSWORD)


@contextmanager
def sentinels(directory: Path) -> Iterator[Servers]:
    with ExitStack() as running:
        ports = [free_port(), free_port()]
        nodes = []
        for number, port in enumerate(ports):
            replica = f"replicaof {LOOPBACK} {ports[0]}\n" if number else ""
            configuration = f"requirepass {PASSWORD}\nmasterauth {PASSWORD}\n{replica}"
            nodes.append(_start(running, directory, f"redis-{number}", port, configuration))
        with redis.Redis(LOOPBACK, ports[1], password=PASSWORD) as client:
            wait_until(lambda: client.info("replication")["master_link_status"] == "up", "the replica")
        sentinel_ports = [free_port() for _ in range(_SENTINELS)]
        for number, port in enumerate(sentinel_ports):
            configuration = (
                f"sentinel monitor {SERVICE} {LOOPBACK} {ports[0]} 2\nsentinel auth-pass {SERVICE} {PASSWORD}\n"
                f"sentinel down-after-milliseconds {SERVICE} 500\nsentinel failover-timeout {SERVICE} 5000\n"
            )
            _start(running, directory, f"sentinel-{number}", port, configuration, "--sentinel")
        for port in sentinel_ports:
            with redis.Redis(LOOPBACK, port) as sentinel:
                wait_until(partial(_knows_everybody, sentinel), "the Sentinels to know each other")
        yield Servers(nodes, ports, sentinel_ports)


def _start(running: ExitStack, directory: Path, name: str, port: int, configuration: str, *options: str) -> Child:
    folder = directory / name
    folder.mkdir(parents=True)
    path = folder / "redis.conf"
    path.write_text(f"port {port}\nbind {LOOPBACK}\ndir {folder}\n" + ("" if options else 'save ""\n') + configuration)
    child = Child(
        ChildSpec(name=name, command=[str(_program()), str(path), *options], log_path=directory / f"{name}.log")
    )
    running.callback(child.stop)
    _run(child, port)
    return child


def _run(child: Child, port: int) -> None:
    child.start()
    child.wait_until_ready(lambda: accepts_connections(LOOPBACK, port), timeout_seconds=20)


def _knows_everybody(sentinel: redis.Redis) -> bool:
    state: Any = sentinel.sentinel_master(SERVICE)
    return bool(state["num-other-sentinels"] == _SENTINELS - 1 and state["num-slaves"] == 1)
