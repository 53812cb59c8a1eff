"""The state of a consumer group as the cluster sees it, and the reset of its offsets. It is never a member."""

import time
from collections.abc import Callable
from typing import TypeVar

from confluent_kafka import Consumer, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient
from django.conf import settings

from stats.events import ORDER_EVENTS

T = TypeVar("T")

ANSWER_SECONDS = 10.0
_LIMIT_SECONDS = 60.0
_PAUSE_SECONDS = 0.05


class Group:
    """The group of the statistics consumers of one test."""

    def __init__(self, bootstrap_servers: str) -> None:
        self.name: str = settings.KAFKA_CONSUMER_GROUP
        self._admin = AdminClient({"bootstrap.servers": bootstrap_servers, "log_level": 0})
        # Not the admin client: it crashes when it asks for offsets while the group's coordinator is still loading.
        self._offsets = Consumer(
            {
                "bootstrap.servers": bootstrap_servers,
                "group.id": self.name,
                "enable.auto.commit": False,
                "log_level": 0,
            }
        )
        self._topics = [f"{settings.KAFKA_TOPIC_PREFIX}{event}" for event in ORDER_EVENTS]

    def shares(self) -> list[int]:
        """The number of partitions of each member, in ascending order."""

        def ask() -> list[int]:
            [answer] = self._admin.describe_consumer_groups([self.name], request_timeout=ANSWER_SECONDS).values()
            return sorted(len(member.assignment.topic_partitions) for member in answer.result().members)

        return _answered(ask)

    def committed(self) -> dict[tuple[str, int], int]:
        """The committed offsets by topic and partition; partitions without one are missing."""
        places = _answered(lambda: self._offsets.committed(self._places(), timeout=ANSWER_SECONDS))
        return {(place.topic, place.partition): place.offset for place in places if place.offset >= 0}

    def ends(self) -> dict[tuple[str, int], int]:
        """The end offsets by topic and partition; empty partitions are missing."""
        ends = {(place.topic, place.partition): self._end(place) for place in self._places()}
        return {place: end for place, end in ends.items() if end > 0}

    def is_through(self) -> bool:
        """Whether the group has processed all messages in the topics."""
        return self.committed() == self.ends()

    def back_to_the_beginning(self) -> None:
        """Reset the offsets of an empty group to the beginning, so that all messages are read again."""
        beginning = [TopicPartition(topic, partition, 0) for topic, partition in self.ends()]
        _answered(lambda: self._offsets.commit(offsets=beginning, asynchronous=False))

    def close(self) -> None:
        self._offsets.close()

    def _places(self) -> list[TopicPartition]:
        known = _answered(lambda: self._offsets.list_topics(timeout=ANSWER_SECONDS)).topics
        return [TopicPartition(topic, partition) for topic in self._topics for partition in known[topic].partitions]

    def _end(self, place: TopicPartition) -> int:
        _, end = _answered(lambda: self._offsets.get_watermark_offsets(place, timeout=ANSWER_SECONDS))
        return int(end)


def _answered(ask: Callable[[], T]) -> T:
    """Retry until it succeeds: a broker that has just started refuses requests for some seconds."""
    deadline = time.monotonic() + _LIMIT_SECONDS
    while True:
        try:
            return ask()
        except KafkaException:
            if time.monotonic() > deadline:
                raise
        time.sleep(_PAUSE_SECONDS)
