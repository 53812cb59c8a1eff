"""Fixtures of the tests on Apache Kafka: the broker, and own topics and an own consumer group for each test.

A cluster named by KAFKA_BOOTSTRAP_SERVERS is never paused or stopped: tests that do so are skipped, and the run reports
it.
"""

from __future__ import annotations

import io
import uuid
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest
from django.core.management import call_command

from tests.kafka.jars import KafkaUnavailable, kafka_jars
from tests.kafka.node import Node
from tests.servers import kafka_was_given

if TYPE_CHECKING:
    from pytest_django import Settings

LEFT_OUT = pytest.StashKey[int]()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if not kafka_was_given():
        return
    stopping = [item for item in items if {"node", "secure_node"} & {*getattr(item, "fixturenames", ())}]
    config.hook.pytest_deselected(items=stopping)
    config.stash[LEFT_OUT] = len(stopping)
    items[:] = [item for item in items if item not in stopping]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    left_out = config.stash.get(LEFT_OUT, 0)
    if left_out:
        terminalreporter.write_line(
            f"{left_out} TESTS WERE LEFT OUT: they pause or kill a broker, which the cluster of KAFKA_BOOTSTRAP_SERVERS"
            " is spared, or need one with TLS. Without that variable they run.",
            yellow=True,
        )


@pytest.fixture(scope="session")
def _running_node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    try:
        node = Node(tmp_path_factory.mktemp("kafka"), jars=kafka_jars())
    except KafkaUnavailable as unavailable:
        pytest.exit(str(unavailable), returncode=1)
    try:
        node.start()
        yield node
    finally:
        node.stop()


@pytest.fixture
def node(_running_node: Node) -> Iterator[Node]:
    """The broker, which tests may pause and kill; it is recovered after the test."""
    yield _running_node
    _running_node.recover()


@pytest.fixture(autouse=True)
def cluster(request: pytest.FixtureRequest, settings: Settings) -> str:
    """The address of the cluster."""
    if not kafka_was_given():
        settings.KAFKA_BOOTSTRAP_SERVERS = request.getfixturevalue("_running_node").bootstrap_servers
    return str(settings.KAFKA_BOOTSTRAP_SERVERS)


@pytest.fixture(autouse=True)
def own_names(settings: Settings) -> None:
    """Own topics and an own consumer group for each test."""
    settings.KAFKA_TOPIC_PREFIX = f"test-{uuid.uuid4().hex[:8]}-"
    settings.KAFKA_CONSUMER_GROUP = f"test-{uuid.uuid4().hex[:8]}"
    settings.KAFKA_TOPIC_PARTITIONS = 3


@pytest.fixture
def topics(cluster: str, own_names: None) -> None:
    """The topics of all events, created by `manage.py create_topics`."""
    call_command("create_topics", stdout=io.StringIO())
