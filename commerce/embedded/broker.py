"""A Kafka-protocol broker as a child process: librdkafka's in-memory broker on the loopback interface.

It chooses a new port at every start and persists nothing: after a restart it has a new address and no topics.
"""

import argparse
import ctypes
import os
import signal
import sys
import time
from pathlib import Path

from confluent_kafka import cimpl

from commerce.embedded.children import Child, ChildSpec, Pause
from commerce.embedded.ports import accepts_connections

_START_SECONDS = 20.0
_GROUP_DELAY_MS = 100
"""How long a consumer group waits for more members before its first partition assignment."""
_PRODUCER = 0
"""RD_KAFKA_PRODUCER of librdkafka's rd_kafka_type_t."""


class Broker:
    """One broker.

    Attributes:
        bootstrap_servers: its address, available once it is ready; changes with a restart.
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
        """Start the broker and wait until it listens.

        Raises:
            ChildFailed: it did not start.
        """
        self.restart()
        self.wait(pause)

    def wait(self, pause: Pause = time.sleep) -> None:
        """Wait until a started broker listens.

        Raises:
            ChildFailed: it did not start.
        """
        self.child.wait_until_ready(self.ready, timeout_seconds=_START_SECONDS, pause=pause)

    def restart(self) -> None:
        """Start the broker without waiting."""
        self._address_file.unlink(missing_ok=True)
        self.child.start()

    def ready(self) -> bool:
        """Whether the broker has written its address and listens on it."""
        try:
            host, port = self._address_file.read_text().rsplit(":", 1)
        except (FileNotFoundError, ValueError):
            return False
        return accepts_connections(host, int(port))


def serve(address_file: Path) -> None:
    """Run the broker: write its address to the file, then wait for SIGTERM or SIGINT."""
    signals = {signal.SIGTERM, signal.SIGINT}
    signal.pthread_sigmask(signal.SIG_BLOCK, signals)
    address = _listen()
    unfinished = address_file.with_name(f"{address_file.name}.{os.getpid()}")
    unfinished.write_text(address)
    unfinished.replace(address_file)
    signal.sigwait(signals)


def _listen() -> str:
    """Start librdkafka's broker in this process and return its address. It runs until the process ends.

    Calls the C library directly, because confluent-kafka cannot set the initial delay of a consumer group (3 seconds).
    """
    # The extension module is linked with librdkafka, so the functions can be looked up in it.
    library = ctypes.CDLL(cimpl.__file__)
    library.rd_kafka_conf_new.restype = ctypes.c_void_p
    library.rd_kafka_new.restype = ctypes.c_void_p
    library.rd_kafka_handle_mock_cluster.restype = ctypes.c_void_p
    library.rd_kafka_mock_cluster_bootstraps.restype = ctypes.c_char_p
    reason = ctypes.create_string_buffer(512)
    reason_size = ctypes.c_size_t(len(reason))
    options = ctypes.c_void_p(library.rd_kafka_conf_new())
    # librdkafka logs the address of its broker as a warning; this level suppresses it.
    for name, value in ((b"test.mock.num.brokers", b"1"), (b"log_level", b"2")):
        library.rd_kafka_conf_set(options, name, value, reason, reason_size)
    client = ctypes.c_void_p(library.rd_kafka_new(_PRODUCER, options, reason, reason_size))
    if not client:
        raise OSError(reason.value.decode())
    broker = ctypes.c_void_p(library.rd_kafka_handle_mock_cluster(client))
    library.rd_kafka_mock_group_initial_rebalance_delay_ms(broker, _GROUP_DELAY_MS)
    return str(library.rd_kafka_mock_cluster_bootstraps(broker).decode())


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="An in-memory Kafka-protocol broker for development and tests.")
    parser.add_argument("address_file", type=Path, help="where to write its host:port")
    serve(parser.parse_args().address_file)
