"""`manage.py stats_lag`: the lag of the statistics consumers, read from the Kafka cluster."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from commerce.outbox.sinks.kafka import KafkaUnavailable
from commerce.outbox.sinks.kafka_source import PartitionLag, group_lag
from stats.events import ORDER_EVENTS


class Command(BaseCommand):
    help = (
        "Show committed offset, end and lag of the statistics consumers for each partition of the order events. "
        "Exit code 1 if Kafka does not answer."
    )
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--json", action="store_true", help="Print the result as a line of JSON.")

    def handle(self, *args: Any, **options: Any) -> None:
        group = settings.KAFKA_CONSUMER_GROUP
        try:
            lags = group_lag(group=group, event_types=ORDER_EVENTS)
        except KafkaUnavailable as error:
            raise CommandError(f"Kafka does not answer at {settings.KAFKA_BOOTSTRAP_SERVERS}: {error}") from error
        total = sum(each.lag for each in lags)
        if options["json"]:
            self.stdout.write(json.dumps({"group": group, "lag": total, "partitions": [asdict(each) for each in lags]}))
        else:
            self._print_table(group, lags, total)

    def _print_table(self, group: str, lags: Sequence[PartitionLag], total: int) -> None:
        width = max((len(each.topic) for each in lags), default=len("topic"))
        self.stdout.write(f"{'topic':<{width}}{'partition':>11}{'committed':>12}{'end':>12}{'lag':>12}")
        for each in lags:
            committed = "-" if each.committed is None else each.committed
            self.stdout.write(f"{each.topic:<{width}}{each.partition:>11}{committed:>12}{each.end:>12}{each.lag:>12}")
        self.stdout.write(f"{group} is {total} behind")
