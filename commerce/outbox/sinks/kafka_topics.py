"""The shop's Kafka topics with their partitions, replication and retention: creates missing ones, compares the others.

Existing topics are never changed: more partitions would move keys to other partitions, and a shorter retention would
delete messages.
"""

import enum
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient, ConfigResource, NewTopic, ResourceType

from commerce.outbox.sinks.kafka import KafkaUnavailable, client_settings

ANSWER_SECONDS = 10.0
"""Time limit of one request, and of the propagation of a new topic."""
_POLL_SECONDS = 0.05
_NO_ANSWER = {KafkaError._TRANSPORT, KafkaError._ALL_BROKERS_DOWN, KafkaError._TIMED_OUT, KafkaError._RESOLVE}


class TopicRefused(Exception):
    """The cluster refuses to create or describe this topic."""


class State(enum.StrEnum):
    """The state of a topic after the command."""

    MADE = "made"
    THERE = "there"
    DIFFERS = "differs"
    MISSING = "missing"


@dataclass(frozen=True, kw_only=True)
class TopicTerms:
    """The required configuration of all topics.

    Attributes:
        retention_hours: how long messages are kept, and so how far back a consumer can be replayed.
        replication: copies of each partition, on as many brokers.
    """

    partitions: int
    retention_hours: int
    replication: int

    @property
    def settings(self) -> dict[str, str]:
        """The topic settings for these terms.

        A message is acknowledged once `min.insync.replicas` copies have it. Two with a replication of three or more:
        one broker may be lost with its data, and one may be unavailable while messages are still accepted.
        """
        return {
            "retention.ms": str(self.retention_hours * 3_600_000),
            "min.insync.replicas": "2" if self.replication >= 3 else "1",
        }


@dataclass(frozen=True)
class Topic:
    """A topic and its state. `differences` are sentences with the actual and the required values."""

    name: str
    state: State
    differences: tuple[str, ...] = ()


def topics_as_they_stand(names: Sequence[str], terms: TopicTerms) -> list[Topic]:
    """The topics of `names`, in that order, with their differences from `terms`. Read-only.

    Raises KafkaUnavailable, and TopicRefused for a topic that the cluster does not describe.
    """
    return _compare(_admin(), names, terms)


def create_topics(names: Sequence[str], terms: TopicTerms) -> list[Topic]:
    """Create the missing topics of `names`, and return the resulting state of all.

    Can be repeated and run concurrently. Raises KafkaUnavailable, and TopicRefused for a topic that cannot be created.
    """
    admin = _admin()
    found = _compare(admin, names, terms)
    missing = [topic.name for topic in found if topic.state is State.MISSING]
    if not missing:
        return found
    made = _make(admin, missing, terms)
    return [
        replace(topic, state=State.MADE) if topic.name in made and topic.state is State.THERE else topic
        for topic in _seen_everywhere(admin, names, terms)
    ]


def _admin() -> AdminClient:
    return AdminClient({**client_settings(), "client.id": "commerce-topics"})


def _make(admin: AdminClient, names: Sequence[str], terms: TopicTerms) -> set[str]:
    """Create topics and return those that no other process has created meanwhile."""
    wanted = [
        NewTopic(name, num_partitions=terms.partitions, replication_factor=terms.replication, config=terms.settings)
        for name in names
    ]
    answers: dict[str, Future[None]] = admin.create_topics(
        wanted, operation_timeout=ANSWER_SECONDS, request_timeout=ANSWER_SECONDS
    )
    made = set()
    for name, answer in answers.items():
        try:
            with _refusals(f"Topic {name} cannot be made"):
                answer.result()
        except _AlreadyThere:
            continue
        made.add(name)
    return made


def _seen_everywhere(admin: AdminClient, names: Sequence[str], terms: TopicTerms) -> list[Topic]:
    """The state of the topics, once the broker knows the new ones."""
    deadline = time.monotonic() + ANSWER_SECONDS
    while True:
        found = _compare(admin, names, terms)
        missing = [topic.name for topic in found if topic.state is State.MISSING]
        if not missing:
            return found
        if time.monotonic() > deadline:
            raise TopicRefused(f"Topic {missing[0]} was made, and cannot be seen.")
        time.sleep(_POLL_SECONDS)


def _compare(admin: AdminClient, names: Sequence[str], terms: TopicTerms) -> list[Topic]:
    with _refusals("The topics cannot be listed"):
        known = admin.list_topics(timeout=ANSWER_SECONDS).topics
    return [_compared(admin, name, known.get(name), terms) for name in names]


def _compared(admin: AdminClient, name: str, known: Any, terms: TopicTerms) -> Topic:
    if known is None:
        return Topic(name, State.MISSING)
    has = {"partitions": len(known.partitions), "replication": len(known.partitions[0].replicas)}
    wants: dict[str, Any] = {"partitions": terms.partitions, "replication": terms.replication, **terms.settings}
    has |= _settings_of(admin, name, terms)
    differences = tuple(f"{term} {has[term]} instead of {wants[term]}" for term in wants if has[term] != wants[term])
    return Topic(name, State.DIFFERS if differences else State.THERE, differences)


def _settings_of(admin: AdminClient, name: str, terms: TopicTerms) -> dict[str, Any]:
    resource = ConfigResource(ResourceType.TOPIC, name)
    [answer] = admin.describe_configs([resource], request_timeout=ANSWER_SECONDS).values()
    with _refusals(f"The settings of topic {name} cannot be read"):
        settings = answer.result()
    return {setting: settings[setting].value for setting in terms.settings}


class _AlreadyThere(Exception):
    """Another process has created the topic meanwhile."""


@contextmanager
def _refusals(what: str) -> Iterator[None]:
    """Translate the client library's errors into the three of this module."""
    try:
        yield
    except KafkaException as failed:
        error: KafkaError = failed.args[0]
        if error.code() == KafkaError.TOPIC_ALREADY_EXISTS:
            raise _AlreadyThere from failed
        if error.code() in _NO_ANSWER:
            raise KafkaUnavailable(error.str()) from failed
        raise TopicRefused(f"{what}: {error.str()}") from failed
