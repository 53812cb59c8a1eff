"""The embedded servers are real, survive a kill, and leave no processes behind."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
import redis
from confluent_kafka import OFFSET_BEGINNING, Consumer, Producer, TopicPartition

from commerce.embedded.broker import Broker
from commerce.embedded.children import Child
from commerce.embedded.postgres import Postgres
from commerce.embedded.redis_server import Redis
from tests.embedded.processes import is_alive, wait_for


@pytest.fixture
def children() -> Iterator[list[Child]]:
    """Everything that a test adds is stopped at the end."""
    started: list[Child] = []
    yield started
    for child in reversed(started):
        child.stop()


def killed(child: Child) -> int:
    """Kill the process and wait until it has ended; returns its id."""
    pid = child.pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    wait_for(lambda: not child.running)
    return pid


def test_postgres_keeps_its_data_over_a_kill_and_a_leftover_backend(folder: Path, children: list[Child]) -> None:
    server = Postgres(folder / "postgres", logs=folder)
    children.append(server.child)
    server.start()
    with psycopg.connect(server.url, autocommit=True) as session:
        version = session.execute("SHOW server_version").fetchone()
        assert version is not None
        assert version[0].startswith("18.")
        assert session.execute("SELECT current_database(), current_setting('TimeZone')").fetchone() == (
            "commerce",
            "UTC",
        )
        session.execute("CREATE TABLE kept (note text)")
        session.execute("INSERT INTO kept VALUES ('still here')")
        backend = session.info.backend_pid
        # A stopped backend cannot notice that its postmaster is dead, so it remains and blocks a new server.
        os.kill(backend, signal.SIGSTOP)
        killed(server.child)
        assert is_alive(backend)

    again = Postgres(folder / "postgres", logs=folder)
    children.append(again.child)
    again.start()

    assert not is_alive(backend)
    with psycopg.connect(again.url) as session:
        assert session.execute("SELECT note FROM kept").fetchall() == [("still here",)]


def test_postgres_asks_for_its_password(folder: Path, children: list[Child]) -> None:
    server = Postgres(folder / "postgres", logs=folder, durable=False)
    children.append(server.child)
    server.start()

    with pytest.raises(psycopg.OperationalError, match="no password supplied"):
        psycopg.connect(server.url.replace(server.url.split(":")[2].split("@")[0], ""))

    assert (folder / "postgres.password").stat().st_mode & 0o077 == 0


def test_redis_keeps_its_data_over_a_restart(folder: Path, children: list[Child]) -> None:
    server = Redis(folder / "redis", logs=folder)
    children.append(server.child)
    server.start()
    with redis.from_url(server.url) as client:
        client.set("kept", "still here")
    server.child.stop()

    server.start()

    with redis.from_url(server.url) as client:
        assert client.get("kept") == b"still here"
        assert client.config_get("maxmemory-policy") == {"maxmemory-policy": "noeviction"}
    with redis.from_url(server.database_url(63)) as client:
        assert client.get("kept") is None


def test_redis_asks_for_its_password(folder: Path, children: list[Child]) -> None:
    server = Redis(folder / "redis", logs=folder, durable=False)
    children.append(server.child)
    server.start()
    password = server.url.removeprefix("redis://:").partition("@")[0]

    for guess in ("", ":wrong@"):
        client = redis.from_url(server.url.replace(f":{password}@", guess))
        with client, pytest.raises(redis.AuthenticationError):
            client.ping()

    for file in (folder / "redis" / "password", folder / "redis" / "redis.conf"):
        assert file.stat().st_mode & 0o077 == 0
        assert password in file.read_text()


def test_the_broker_carries_messages_and_has_a_new_address_after_a_kill(folder: Path, children: list[Child]) -> None:
    broker = Broker(folder, logs=folder)
    children.append(broker.child)
    broker.start()
    first = broker.bootstrap_servers

    assert sent_and_read(first, b"before") == b"before"
    killed(broker.child)
    broker.start()

    assert broker.bootstrap_servers != first
    assert sent_and_read(broker.bootstrap_servers, b"after") == b"after"


def sent_and_read(address: str, value: bytes) -> bytes | None:
    """Publish to a topic and consume from it, with different clients."""
    producer = Producer({"bootstrap.servers": address, "enable.idempotence": True})
    producer.produce("greetings", value, key=b"k")
    assert producer.flush(10) == 0
    consumer = Consumer({"bootstrap.servers": address, "group.id": "readers"})
    partitions = consumer.list_topics("greetings", timeout=10).topics["greetings"].partitions
    consumer.assign([TopicPartition("greetings", number, OFFSET_BEGINNING) for number in partitions])
    try:
        message = consumer.poll(15)
        assert message is not None
        assert message.error() is None
        return message.value()
    finally:
        consumer.close()
