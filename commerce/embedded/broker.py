"""A Kafka-protocol broker as a child process: librdkafka's own, which lives in memory and listens on the loopback.

Chooses its own port at every start, and keeps nothing: a restarted broker has a new address and no topics.
"""

import argparse
import logging
import os
import signal
import sys
import time
from pathlib import Path

from confluent_kafka import Producer

from commerce.embedded.children import Child, ChildSpec, Pause
from commerce.embedded.ports import accepts_connections

_START_SECONDS = 20.0


class Broker:
    """One broker.

    Attributes:
        bootstrap_servers: its address, known once it is ready; another one after a restart.
    """

    def __init__(self, directory: Path, *, logs: Path) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self._address_file = directory / "broker.address"
        self.child = Child(
            ChildSpec(
                name="broker",
                command=[sys.executable, "-m", "commerce.embedded.broker", str(self._address_file)],
                log_path=logs / "broker.log",
            )
        )

    @property
    def bootstrap_servers(self) -> str:
        return self._address_file.read_text()

    def start(self, pause: Pause = time.sleep) -> None:
        """Start the broker; return when it listens.

        Raises:
            ChildFailed: it did not start.
        """
        self.restart()
        self.wait(pause)

    def wait(self, pause: Pause = time.sleep) -> None:
        """Return when a broker that was started listens.

        Raises:
            ChildFailed: it does not.
        """
        self.child.wait_until_ready(self.ready, timeout_seconds=_START_SECONDS, pause=pause)

    def restart(self) -> None:
        """Start the broker without waiting until it listens."""
        self._address_file.unlink(missing_ok=True)
        self.child.start()

    def ready(self) -> bool:
        """Whether the broker has written its address and listens there."""
        try:
            host, port = self._address_file.read_text().rsplit(":", 1)
        except (FileNotFoundError, ValueError):
            return False
        return accepts_connections(host, int(port))


def serve(address_file: Path) -> None:
    """Be the broker: write its address to the file, then stay until SIGTERM or SIGINT."""
    signals = {signal.SIGTERM, signal.SIGINT}
    signal.pthread_sigmask(signal.SIG_BLOCK, signals)
    # librdkafka announces its broker as a warning; an empty logger keeps that off the terminal.
    quiet = logging.getLogger("commerce.embedded.broker.rdkafka")
    quiet.addHandler(logging.NullHandler())
    quiet.propagate = False
    host = Producer({"test.mock.num.brokers": 1, "log_level": 2}, logger=quiet)
    (broker,) = host.list_topics(timeout=10).brokers.values()
    unfinished = address_file.with_name(f"{address_file.name}.{os.getpid()}")
    unfinished.write_text(f"{broker.host}:{broker.port}")
    unfinished.replace(address_file)
    signal.sigwait(signals)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="An in-memory Kafka-protocol broker for development and tests.")
    parser.add_argument("address_file", type=Path, help="where to write its host:port")
    serve(parser.parse_args().address_file)
