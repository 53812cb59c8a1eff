"""`manage.py consume_orders`: run the statistics consumer as a process, with its signals and metrics port."""

import signal
from threading import Event
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from commerce.core.metrics_server import MetricsPortTaken, metrics_served
from commerce.outbox.sinks.kafka import KafkaUnavailable
from commerce.outbox.sinks.kafka_source import KafkaSource
from stats.consumers import REPORT_SECONDS, Progress, consume_orders
from stats.events import ORDER_EVENTS


class Command(BaseCommand):
    help = (
        "Count completed and cancelled orders from Kafka into product_stat, until SIGTERM or Ctrl-C. With "
        "PRODUCT_STATS_MODE=inline it prints a note and exits with 0. Otherwise exit code 0 after a signal, 1 if Kafka "
        "has removed it from its group or the metrics port is in use."
    )
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--metrics-port",
            type=int,
            help="Serve the metrics of this process on this port: lag, rate, counts. 0: any free port.",
        )
        parser.add_argument(
            "--metrics-host", default="127.0.0.1", help="The address of the metrics (default %(default)s)."
        )
        parser.add_argument(
            "--report-seconds",
            type=float,
            default=REPORT_SECONDS,
            help="The interval of reports of lag and rate (default %(default)s).",
        )

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
        try:
            with metrics_served(options["metrics_port"], host=options["metrics_host"]) as address:
                if address:
                    self.stdout.write(f"Metrics at {address}")
                self._consume(stopping, options["report_seconds"])
        except MetricsPortTaken as taken:
            raise CommandError(str(taken)) from taken
        self.stdout.write("Consumer stopped")

    def _consume(self, stopping: Event, report_seconds: float) -> None:
        group = settings.KAFKA_CONSUMER_GROUP
        source = KafkaSource(group=group, event_types=ORDER_EVENTS)
        self.stdout.write(f"Counting {', '.join(ORDER_EVENTS)} as {group}")
        progress = Progress(source, group=group, every_seconds=report_seconds)
        try:
            consume_orders(source, stopping=stopping, progress=progress)
        except KafkaUnavailable as error:
            raise CommandError(f"Kafka gave this consumer up: {error}") from error
        finally:
            source.close()
