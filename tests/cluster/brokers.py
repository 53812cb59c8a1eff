"""Three Apache Kafka brokers on the loopback, each of them also a controller (KRaft).

Contains their processes and folders. The jars are those of `tests.kafka`.
"""

import subprocess
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from commerce.embedded.children import Child, ChildSpec
from commerce.embedded.errors import EmbeddedError
from commerce.embedded.ports import LOOPBACK, free_port
from tests.kafka.jars import java

BROKERS = 3
START_SECONDS = 90.0
_JAVA_OPTIONS = ("-Xms128m", "-Xmx384m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1")
_PROPERTIES = """\
process.roles=broker,controller
node.id={number}
controller.quorum.voters={voters}
listeners=PLAINTEXT://{host}:{port},CONTROLLER://{host}:{controller_port}
advertised.listeners=PLAINTEXT://{host}:{port}
controller.listener.names=CONTROLLER
log.dirs={data}
auto.create.topics.enable=false
default.replication.factor=3
min.insync.replicas=2
offsets.topic.replication.factor=3
offsets.topic.num.partitions=4
transaction.state.log.replication.factor=3
transaction.state.log.min.isr=2
group.initial.rebalance.delay.ms=0
"""


class BrokersFailed(EmbeddedError):
    """The brokers do not form a cluster; the message explains it."""


class Brokers:
    """The cluster, with the methods of `tests.faults.servers.Kafka`. A kill affects the leader of most partitions."""

    def __init__(self, folder: Path, *, logs: Path, jars: Path) -> None:
        self._folder = folder
        self._java = [java(), *_JAVA_OPTIONS, "-cp", str(jars / "*")]
        self._ports = [free_port() for _ in range(BROKERS)]
        self._controllers = [free_port() for _ in range(BROKERS)]
        self._children = [
            Child(
                ChildSpec(
                    name=f"kafka-{number}",
                    command=[*self._java, "kafka.Kafka", str(folder / f"{number}.properties")],
                    log_path=logs / f"kafka-{number}.log",
                    grace_seconds=20.0,
                )
            )
            for number in range(1, BROKERS + 1)
        ]

    @property
    def bootstrap_servers(self) -> str:
        return ",".join(f"{LOOPBACK}:{port}" for port in self._ports)

    def start(self) -> None:
        tool = [*self._java, "kafka.tools.StorageTool"]
        cluster_id = _run([*tool, "random-uuid"])
        voters = ",".join(f"{number}@{LOOPBACK}:{port}" for number, port in enumerate(self._controllers, start=1))
        for number, (port, controller_port) in enumerate(zip(self._ports, self._controllers, strict=True), start=1):
            path = self._folder / f"{number}.properties"
            path.write_text(
                _PROPERTIES.format(
                    number=number,
                    voters=voters,
                    host=LOOPBACK,
                    port=port,
                    controller_port=controller_port,
                    data=self._folder / f"data-{number}",
                )
            )
            _run([*tool, "format", "-t", cluster_id, "-c", str(path)])
        for child in self._children:
            child.start()
        self._wait_until_whole()

    def kill(self) -> None:
        """Kill the broker that leads the most partitions."""
        self._children[self.busiest() - 1].kill()

    def busiest(self) -> int:
        """The number of the broker that leads the most partitions."""
        topics = self._client().list_topics(timeout=10).topics.values()
        leaders = [partition.leader for topic in topics for partition in topic.partitions.values()]
        running = [number for number, child in enumerate(self._children, start=1) if child.running]
        return max(running, key=leaders.count)

    def pause(self) -> None:
        raise NotImplementedError("One broker of three is killed here, none is paused.")

    def resume(self) -> None:
        """Brokers are not paused."""

    def recover(self) -> None:
        """Restart the killed broker, and wait until every partition has all of its replicas."""
        for child in self._children:
            if not child.running:
                child.start()
        self._wait_until_whole()

    def stop(self) -> None:
        for child in self._children:
            child.stop()

    def _wait_until_whole(self) -> None:
        deadline = time.monotonic() + START_SECONDS
        while not self._is_whole():
            for child in self._children:
                if not child.running:
                    raise child.failure("ended")
            if time.monotonic() > deadline:
                raise BrokersFailed(f"The brokers are not complete after {START_SECONDS:.0f} s.")
            time.sleep(0.2)

    def _is_whole(self) -> bool:
        with suppress(KafkaException):
            known = self._client().list_topics(timeout=5)
            partitions = [partition for topic in known.topics.values() for partition in topic.partitions.values()]
            return len(known.brokers) == BROKERS and all(len(each.isrs) == len(each.replicas) for each in partitions)
        return False

    def _client(self) -> AdminClient:
        return AdminClient({"bootstrap.servers": self.bootstrap_servers, "log_level": 0})


def _run(command: Sequence[str]) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=120).stdout.strip()  # noqa: S603  # ours
