"""One Apache Kafka broker (KRaft) that tests may pause, kill and restart with the same ports and data folder."""

import os
import signal
import subprocess
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from commerce.embedded.children import Child, ChildSpec
from commerce.embedded.errors import ChildFailed
from commerce.embedded.ports import LOOPBACK, free_port
from tests.kafka.jars import java

START_SECONDS = 60.0
_TRIES = 5

# Options for a fast start: a test run is too short to benefit from full compilation.
_JAVA_OPTIONS = ("-Xms128m", "-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1")

_PROPERTIES = """\
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@{host}:{controller_port}
listeners={listener}://{host}:{port},CONTROLLER://{host}:{controller_port}
advertised.listeners={listener}://{host}:{port}
controller.listener.names=CONTROLLER
log.dirs={data}
auto.create.topics.enable=false
offsets.topic.replication.factor=1
offsets.topic.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
group.initial.rebalance.delay.ms=0
# A broker that was killed may not come back before its controller has given it up.
broker.session.timeout.ms=1500
broker.heartbeat.interval.ms=300
"""


class Node:
    """One broker.

    Attributes:
        bootstrap_servers: its address, the same after a restart.
    """

    def __init__(
        self,
        folder: Path,
        *,
        jars: Path,
        listener: str = "PLAINTEXT",
        properties: str = "",
        client: Mapping[str, str] | None = None,
        users: Mapping[str, str] | None = None,
    ) -> None:
        """`listener`:

        the broker's properties. `client`: the settings of its clients. `users`: passwords by name (SCRAM-SHA-512).
        """
        self._folder = folder
        self._listener, self._more_properties = listener, properties
        self._client = dict(client or {})
        self._users = dict(users or {})
        self._java = [java(), *_JAVA_OPTIONS, "-cp", str(jars / "*")]
        self._properties = folder / "server.properties"
        self._child = Child(
            ChildSpec(
                name="kafka",
                command=[*self._java, "kafka.Kafka", str(self._properties)],
                log_path=folder / "kafka.log",
                grace_seconds=20.0,
            )
        )
        self.bootstrap_servers = ""

    def start(self) -> None:
        """Start a broker without topics, and wait until it answers.

        Raises ChildFailed if it does not start on any port.
        """
        for attempt in range(1, _TRIES + 1):
            # A free port may be taken by another process before the broker uses it.
            self._prepare(f"data-{attempt}")
            try:
                self.start_again()
            except ChildFailed:
                self._child.kill()
                if attempt == _TRIES or "Address already in use" not in self._child.spec.log_path.read_text():
                    raise
            else:
                return

    def start_again(self) -> None:
        """Restart a killed broker with its ports and data."""
        self._child.start()
        self._child.wait_until_ready(self._answers, timeout_seconds=START_SECONDS)

    def pause(self) -> None:
        """It neither answers nor refuses connections, like behind a network that drops packets."""
        os.kill(self._pid, signal.SIGSTOP)

    def resume(self) -> None:
        """It continues, including the requests that were sent meanwhile."""
        os.kill(self._pid, signal.SIGCONT)

    def kill(self) -> None:
        """Kill the process; its port refuses connections."""
        self._child.kill()

    def stop(self) -> None:
        """Stop it gracefully."""
        if self._child.running:
            self.resume()
        self._child.stop()

    def recover(self) -> None:
        """Make it work again, whatever its state."""
        if self._child.running:
            self.resume()
            self._child.wait_until_ready(self._answers, timeout_seconds=START_SECONDS)
        else:
            self.start_again()

    @property
    def _pid(self) -> int:
        assert self._child.pid is not None
        return self._child.pid

    def _prepare(self, data: str) -> None:
        port, controller_port = free_port(), free_port()
        self.bootstrap_servers = f"{LOOPBACK}:{port}"
        self._properties.write_text(
            _PROPERTIES.format(
                host=LOOPBACK,
                listener=self._listener,
                port=port,
                controller_port=controller_port,
                data=self._folder / data,
            )
            + self._more_properties
        )
        tool = [*self._java, "kafka.tools.StorageTool"]
        cluster_id = subprocess.run([*tool, "random-uuid"], capture_output=True, text=True, check=True, timeout=60)  # noqa: S603 - our own command
        formatting = [*tool, "format", "-t", cluster_id.stdout.strip(), "-c", str(self._properties)]
        for user, password in self._users.items():
            formatting += ["--add-scram", f"SCRAM-SHA-512=[name={user},password={password}]"]
        subprocess.run(formatting, capture_output=True, check=True, timeout=60)  # noqa: S603 - our own command

    def _answers(self) -> bool:
        with suppress(KafkaException):
            client = AdminClient({"bootstrap.servers": self.bootstrap_servers, "log_level": 0, **self._client})
            return bool(client.list_topics(timeout=1.0).brokers)
        return False
