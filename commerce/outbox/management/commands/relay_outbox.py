"""`manage.py relay_outbox`: run the dispatchers of all destinations as a process, with signals and metrics port."""

import signal
import sys
import threading
import time
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from commerce.core.metrics_server import MetricsPortTaken, metrics_served
from commerce.outbox.dispatcher import Dispatcher
from commerce.outbox.dispatcher_thread import DispatcherThread, dispatcher_of
from commerce.outbox.purge import HourlyPurge
from commerce.outbox.sinks.base import sink_of
from commerce.outbox.status import outbox_status, switched_on_destinations
from commerce.outbox.webhook_dispatcher import WebhookDispatcher

_WATCH_SECONDS = 1.0
_TURN_SECONDS = 0.05
_LONGEST_TURN_SECONDS = 30.0
_STOP_SECONDS = 30.0


class Command(BaseCommand):
    help = (
        "Deliver the messages of the outbox to all active destinations until SIGTERM or Ctrl-C. "
        "Once an hour, delete messages sent more than OUTBOX_RETENTION_HOURS ago. "
        "Exit code 0 after a signal, 1 when a thread of it failed or the metrics port is taken. "
        "With --once: deliver due messages and exit, 0 if no message is waiting then, 1 otherwise."
    )
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--once", action="store_true", help="Deliver due messages, then exit.")
        parser.add_argument(
            "--metrics-port",
            type=int,
            help="Serve the metrics of this process on this port: deliveries, failures, open breakers. "
            "0: any free port.",
        )
        parser.add_argument(
            "--metrics-host", default="127.0.0.1", help="The address of the metrics (default %(default)s)."
        )

    def handle(self, *args: Any, **options: Any) -> None:
        destinations = switched_on_destinations()
        if options["once"]:
            self._drain_once(destinations)
            return
        try:
            with metrics_served(options["metrics_port"], host=options["metrics_host"]) as address:
                if address:
                    self.stdout.write(f"Metrics at {address}")
                self._relay(destinations)
        except MetricsPortTaken as taken:
            raise CommandError(str(taken)) from taken

    def _drain_once(self, destinations: list[str]) -> None:
        for destination in destinations:
            sent, failed = _drain(dispatcher_of(destination))
            self.stdout.write(f"{destination}: {sent} sent, {failed} failed")
        left = {status.destination: status.waiting for status in outbox_status() if status.switched_on}
        if any(left.values()):
            self.stderr.write(f"Still waiting: {left}")
            sys.exit(1)

    def _relay(self, destinations: list[str]) -> None:
        stopping = threading.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda _number, _frame: stopping.set())
        # Threads that import the same package at one time may get it half imported, so the sinks are imported before.
        for destination in destinations:
            sink_of(destination)
        threads = [DispatcherThread(name, poll_seconds=settings.OUTBOX_POLL_SECONDS) for name in destinations]
        for thread in threads:
            thread.start()
        self.stdout.write(f"Relaying to {', '.join(destinations)}")
        purge = HourlyPurge()
        while not stopping.wait(_WATCH_SECONDS) and all(thread.is_alive() for thread in threads):
            purge.run_if_due(stopping=lambda: stopping.is_set() or not all(thread.is_alive() for thread in threads))
        for thread in threads:
            thread.ask_to_stop()
        for thread in threads:
            thread.join(_STOP_SECONDS)
        self.stdout.write("Relay stopped")
        if not stopping.is_set():
            sys.exit(1)


def _drain(dispatcher: Dispatcher | WebhookDispatcher) -> tuple[int, int]:
    """Deliver all due messages once; if another dispatcher is delivering, wait for it first."""
    deadline = time.monotonic() + _LONGEST_TURN_SECONDS
    while (drained := dispatcher.drain()).elsewhere and dispatcher.anything_due() and time.monotonic() < deadline:
        time.sleep(_TURN_SECONDS)
    return drained.sent, drained.failed
