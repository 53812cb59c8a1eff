"""`manage.py create_topics`: creates missing topics, reports differences of existing ones, changes none."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import pytest
from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient, ConfigResource, NewTopic, ResourceType
from django.core.management import CommandError, call_command

from commerce.outbox.routes import KAFKA, event_types_to
from commerce.outbox.sinks import kafka_topics
from stats.events import ORDER_EVENTS
from tests.together import PATIENCE_SECONDS, together

if TYPE_CHECKING:
    from pytest_django import Settings

EVENTS = tuple(event_types_to(KAFKA))
NOBODY_LISTENS = "127.0.0.1:1"


@pytest.fixture
def admin(cluster: str) -> AdminClient:
    return AdminClient({"bootstrap.servers": cluster, "log_level": 0})


def create_topics(*arguments: str) -> list[str]:
    """The output of the command."""
    output = io.StringIO()
    call_command("create_topics", *arguments, stdout=output)
    return output.getvalue().splitlines()


def lines(settings: Settings, state: str, *events: str) -> list[str]:
    return [f"{settings.KAFKA_TOPIC_PREFIX}{event}: {state}" for event in events or EVENTS]


def settings_of(admin: AdminClient, topic: str) -> tuple[int, int, str, str]:
    """Partitions, replicas, retention and `min.insync.replicas` of the topic in the cluster."""
    known = admin.list_topics(topic, timeout=PATIENCE_SECONDS).topics[topic]
    [answer] = admin.describe_configs([ConfigResource(ResourceType.TOPIC, topic)]).values()
    configured = answer.result(timeout=PATIENCE_SECONDS)
    copies = {len(partition.replicas) for partition in known.partitions.values()}
    assert len(copies) == 1
    return (
        len(known.partitions),
        copies.pop(),
        configured["retention.ms"].value,
        configured["min.insync.replicas"].value,
    )


def make(admin: AdminClient, topic: str, *, partitions: int, **configured: str) -> None:
    [answer] = admin.create_topics(
        [NewTopic(topic, num_partitions=partitions, replication_factor=1, config=configured)],
        operation_timeout=PATIENCE_SECONDS,
    ).values()
    answer.result(timeout=PATIENCE_SECONDS)


def test_it_makes_a_topic_for_every_event_and_then_finds_them(admin: AdminClient, settings: Settings) -> None:
    settings.KAFKA_TOPIC_PARTITIONS, settings.KAFKA_TOPIC_RETENTION_HOURS = 5, 48
    assert create_topics() == lines(settings, "made")
    for event in EVENTS:
        assert settings_of(admin, f"{settings.KAFKA_TOPIC_PREFIX}{event}") == (5, 1, "172800000", "1")
    assert create_topics() == lines(settings, "there")
    assert create_topics("--check") == lines(settings, "there")


def test_the_consumed_events_have_topics() -> None:
    assert set(ORDER_EVENTS) < set(EVENTS)


def test_a_missing_topic_beside_others_is_made(admin: AdminClient, settings: Settings) -> None:
    make(admin, f"{settings.KAFKA_TOPIC_PREFIX}coupon-issued", partitions=3, **{"retention.ms": "604800000"})
    output = create_topics()
    assert output == [
        line for event in EVENTS for line in lines(settings, "there" if event == "coupon-issued" else "made", event)
    ]


def test_differences_are_reported_and_not_changed(admin: AdminClient, settings: Settings) -> None:
    topic = f"{settings.KAFKA_TOPIC_PREFIX}order-completed"
    make(admin, topic, partitions=2, **{"retention.ms": "3600000"})
    difference = f"{topic}: differs: partitions 2 instead of 3, retention.ms 3600000 instead of 604800000"
    for _ in range(2):
        assert difference in create_topics()
    assert settings_of(admin, topic) == (2, 1, "3600000", "1")
    with pytest.raises(CommandError, match=f"^Different from the settings: {topic}$"):
        create_topics("--check")


def test_check_creates_no_topics(admin: AdminClient, settings: Settings) -> None:
    output = io.StringIO()
    with pytest.raises(CommandError, match="Different from the settings") as caught:
        call_command("create_topics", "--check", stdout=output)
    assert caught.value.returncode == 1
    assert output.getvalue().splitlines() == lines(settings, "missing")
    known = admin.list_topics(timeout=PATIENCE_SECONDS).topics
    assert not [topic for topic in known if topic.startswith(settings.KAFKA_TOPIC_PREFIX)]


def test_two_at_once_make_each_topic_once(settings: Settings) -> None:
    output = [*zip(*together([create_topics] * 2), strict=True)]
    for event, both in zip(EVENTS, output, strict=True):
        states = {line.rsplit(" ", 1)[1] for line in both}
        assert {line.partition(":")[0] for line in both} == {f"{settings.KAFKA_TOPIC_PREFIX}{event}"}
        assert "made" in states
        assert states <= {"made", "there"}


def test_an_unavailable_kafka_is_an_error(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kafka_topics, "ANSWER_SECONDS", 0.5)
    settings.KAFKA_BOOTSTRAP_SERVERS = NOBODY_LISTENS
    with pytest.raises(CommandError, match=f"^Kafka does not answer at {NOBODY_LISTENS}: ") as caught:
        create_topics()
    assert caught.value.returncode == 1


def test_a_refusal_of_the_cluster_is_reported(settings: Settings, admin: AdminClient) -> None:
    brokers = len(admin.list_topics(timeout=PATIENCE_SECONDS).brokers)
    settings.KAFKA_TOPIC_REPLICATION = brokers + 1
    with pytest.raises(CommandError, match=r"cannot be made: .*[Rr]eplication factor"):
        create_topics()


def test_more_replicas_require_more_acknowledgements() -> None:
    """With three replicas a message is acknowledged by two, so one broker may be unavailable or lost."""
    least = {
        replication: kafka_topics.TopicTerms(partitions=1, retention_hours=1, replication=replication).settings[
            "min.insync.replicas"
        ]
        for replication in (1, 2, 3, 5)
    }
    assert least == {1: "1", 2: "1", 3: "2", 5: "2"}


def test_an_unknown_error_keeps_its_words() -> None:
    error = KafkaError(KafkaError.CLUSTER_AUTHORIZATION_FAILED, "not you")
    with pytest.raises(kafka_topics.TopicRefused, match=r"^Topics: not you$"), kafka_topics._refusals("Topics"):
        raise KafkaException(error)
