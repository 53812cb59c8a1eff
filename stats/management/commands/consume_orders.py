"""`manage.py consume_orders`: the statistics consumer as a process.

Owns the signals and the exit code; the loop is the consumer's.
"""

import signal
from threading import Event
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from commerce.outbox.sinks.kafka import KafkaAway
from commerce.outbox.sinks.kafka_source import KafkaSource
from stats.consumers import consume_orders
from stats.events import ORDER_EVENTS


class Command(BaseCommand):
    help = (
        "Count completed and cancelled orders from Kafka into product_stat, until SIGTERM or Ctrl-C. "
        "With PRODUCT_STATS_MODE=inline there is nothing to do: it says so and exits with 0."
    )
    requires_system_checks = ()

    def handle(self, *args: Any, **options: Any) -> None:
        if settings.PRODUCT_STATS_MODE == "inline":
            self.stdout.write(
                "PRODUCT_STATS_MODE=inline: the outbox counts without Kafka. Events left in Kafka are not read; "
                "backfill_product_stats counts their orders."
            )
            return
        stopping = Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda _number, _frame: stopping.set())
        source = KafkaSource(group=settings.KAFKA_CONSUMER_GROUP, event_types=ORDER_EVENTS)
        self.stdout.write(f"Counting {', '.join(ORDER_EVENTS)} as {settings.KAFKA_CONSUMER_GROUP}")
        try:
            consume_orders(source, stopping=stopping)
        except KafkaAway as away:
            raise CommandError(f"Kafka gave this consumer up: {away}") from away
        finally:
            source.close()
        self.stdout.write("Consumer stopped")
