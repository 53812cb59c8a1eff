"""The broker of these tests: messages if it is unavailable, and its ports."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from commerce.embedded.ports import LOOPBACK, free_port
from tests.kafka import jars
from tests.kafka import node as nodes
from tests.kafka.jars import KafkaUnavailable, kafka_jars
from tests.kafka.node import Node

# Matches the folder in Maven's command line.
READ_FOLDER = 'PATH=/usr/bin:/bin; for each; do case "$each" in -DoutputDirectory=*) folder=${each#*=};; esac; done;'


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The only folder in PATH; nothing is cached."""
    folder = tmp_path / "programs"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.setattr(jars, "KEPT", tmp_path / "kept")
    return folder


def program(path: Path, script: str) -> None:
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


def java_of(version: str) -> str:
    return f"echo 'openjdk version \"{version}\" 2025-01-01' >&2"


def test_without_java(programs: Path) -> None:
    with pytest.raises(KafkaUnavailable, match=r"^Java 17 or newer is needed .* no `java` was found\.$"):
        kafka_jars()


@pytest.mark.parametrize("version", ["1.8.0_402", "11.0.22"])
def test_with_an_old_java(programs: Path, version: str) -> None:
    program(programs / "java", java_of(version))
    with pytest.raises(KafkaUnavailable, match=f'`java` is: openjdk version "{version}"'):
        kafka_jars()


def test_without_maven(programs: Path) -> None:
    program(programs / "java", java_of("21.0.1"))
    with pytest.raises(KafkaUnavailable, match=r"^Maven is needed .* no `mvn` was found\.$"):
        kafka_jars()


def test_when_maven_cannot_fetch(programs: Path) -> None:
    program(programs / "java", java_of("17.0.15"))
    program(programs / "mvn", "echo '[ERROR] Name or service not known'; exit 1")
    with pytest.raises(
        KafkaUnavailable, match=r"could not bring the Kafka broker: \[ERROR\] Name or service not known"
    ):
        kafka_jars()
    assert not list(jars.KEPT.iterdir())


def test_downloaded_jars_are_cached(programs: Path) -> None:
    program(programs / "java", java_of("17.0.15"))
    program(programs / "mvn", f'{READ_FOLDER} mkdir -p "$folder"; echo >> "$folder/one.jar"')
    first = kafka_jars()
    (programs / "mvn").unlink()
    assert kafka_jars() == first
    assert [path.name for path in first.iterdir()] == ["one.jar"]


def test_a_port_that_is_taken_meanwhile_is_exchanged_for_another(
    node: Node, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.create_server((LOOPBACK, 0)) as rival:
        chosen = [rival.getsockname()[1]]
        monkeypatch.setattr(nodes, "free_port", lambda: chosen.pop() if chosen else free_port())
        beside = Node(tmp_path, jars=kafka_jars())
        try:
            beside.start()
            port = int(beside.bootstrap_servers.rpartition(":")[2])
            assert port not in (rival.getsockname()[1], int(node.bootstrap_servers.rpartition(":")[2]))
        finally:
            beside.stop()
