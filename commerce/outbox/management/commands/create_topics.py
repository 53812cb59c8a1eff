"""`manage.py create_topics`: create the shop's missing Kafka topics and report differences of existing ones."""

from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from commerce.outbox.routes import KAFKA, event_types_to
from commerce.outbox.sinks.kafka import KafkaUnavailable, topic_of
from commerce.outbox.sinks.kafka_topics import (
    State,
    Topic,
    TopicRefused,
    TopicTerms,
    create_topics,
    topics_as_they_stand,
)


class Command(BaseCommand):
    help = (
        "Create the Kafka topics of all events that are routed to Kafka, with the KAFKA_TOPIC_* settings. Can be "
        "repeated: existing topics are compared and never changed. Exit code 0 if all topics exist, 1 if Kafka is "
        "unavailable or refuses one. With --check none is created, and a missing or different topic leads to 1."
    )
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--check", action="store_true", help="Create nothing; exit code 1 if a topic is missing or different."
        )

    def handle(self, *args: Any, **options: Any) -> None:
        terms = TopicTerms(
            partitions=settings.KAFKA_TOPIC_PARTITIONS,
            retention_hours=settings.KAFKA_TOPIC_RETENTION_HOURS,
            replication=settings.KAFKA_TOPIC_REPLICATION,
        )
        # The order events, which the shop reads, are among the topics that it writes.
        names = [topic_of(event_type) for event_type in event_types_to(KAFKA)]
        act = topics_as_they_stand if options["check"] else create_topics
        try:
            topics = act(names, terms)
        except KafkaUnavailable as error:
            raise CommandError(f"Kafka does not answer at {settings.KAFKA_BOOTSTRAP_SERVERS}: {error}") from error
        except TopicRefused as refused:
            raise CommandError(str(refused)) from refused
        for topic in topics:
            self.stdout.write(_line(topic))
        wrong = [topic.name for topic in topics if topic.state in (State.MISSING, State.DIFFERS)]
        if options["check"] and wrong:
            raise CommandError(f"Different from the settings: {', '.join(wrong)}")


def _line(topic: Topic) -> str:
    differences = f": {', '.join(topic.differences)}" if topic.differences else ""
    return f"{topic.name}: {topic.state}{differences}"
