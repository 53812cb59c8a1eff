"""Base classes of management commands that run once or at an interval (`--every`): options, signals, progress."""

import json
import logging
import signal
import threading
from abc import abstractmethod
from collections.abc import Callable
from typing import Any, ClassVar

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import Error as DatabaseFailure
from django.db import connection
from tqdm import tqdm

from commerce.core.metrics_server import MetricsPortTaken, metrics_served

logger = logging.getLogger(__name__)


class RepeatedCommand(BaseCommand):
    """Calls `turn` once and reports, or with `--every` repeatedly until SIGTERM or Ctrl-C."""

    most_minutes: ClassVar[int]
    """The longest allowed interval."""
    unit: ClassVar[str]
    """The unit of the progress bar."""
    failed: ClassVar[str]
    """The log message of a failed run. `%.0f` is the seconds until the next one, `%s` after it the error."""
    failures: ClassVar[tuple[type[Exception], ...]] = (DatabaseFailure,)
    """With `--every` a run that raises one of these is logged, and the next run continues."""
    ended: ClassVar[str]
    """The message printed after a stop signal."""
    requires_system_checks = ()

    @abstractmethod
    def turn(self, stopping: Callable[[], bool], on_batch: Callable[[int], object]) -> Any:
        """One run, in batches; returns the value for `report`.

        `stopping` is called between two batches, `on_batch` with the size of each. Raises django.db.Error if the
        database fails; finished batches stay.
        """

    @abstractmethod
    def report(self, result: Any) -> None:
        """Print the result of a run: a sentence, or with `--json` (`as_json`) a line of JSON."""

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--json", action="store_true", help="Print the result as a line of JSON; with --every, one per run."
        )
        parser.add_argument(
            "--every", type=float, metavar="MINUTES", help="Repeat at this interval in minutes until SIGTERM."
        )
        parser.add_argument(
            "--metrics-port",
            type=int,
            help="With --every: serve this process's metrics. 0: any free port.",
        )
        parser.add_argument(
            "--metrics-host", default="127.0.0.1", help="The address of the metrics (default %(default)s)."
        )

    def handle(self, *args: Any, **options: Any) -> None:
        self.as_json: bool = options["json"]
        minutes: float | None = options["every"]
        if minutes is None:
            # `disable=None`: progress is shown on a terminal only.
            with tqdm(unit=self.unit, leave=False, disable=None) as progress:
                result = self.turn(lambda: False, progress.update)
            self.report(result)
            return
        if not 0 < minutes <= self.most_minutes:
            raise CommandError(f"--every must be above 0 and at most {self.most_minutes:,}.", returncode=2)
        try:
            with metrics_served(options["metrics_port"], host=options["metrics_host"]):
                self._until_stopped(minutes)
        except MetricsPortTaken as taken:
            raise CommandError(str(taken)) from taken

    def _until_stopped(self, minutes: float) -> None:
        stopping = threading.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda _number, _frame: stopping.set())
        keep_turning(
            lambda: self.report(self.turn(stopping.is_set, lambda _count: None)),
            every_seconds=minutes * 60,
            stopping=stopping,
            failed=self.failed,
            failures=self.failures,
        )
        self.stdout.write(self.ended)


class CountingCommand(RepeatedCommand):
    """A command whose runs return the number of changed rows."""

    counted: ClassVar[str]
    """The name of the count in the JSON line."""

    @abstractmethod
    def sentence(self, count: int) -> str:
        """The result of a run as a sentence."""

    def report(self, result: int) -> None:
        self.stdout.write(json.dumps({self.counted: result}) if self.as_json else self.sentence(result))


def keep_turning(
    turn: Callable[[], object],
    *,
    every_seconds: float,
    stopping: threading.Event,
    failed: str,
    failures: tuple[type[Exception], ...] = (DatabaseFailure,),
) -> None:
    """Call `turn` now and at each interval until `stopping` is set.

    A run that raises one of `failures` is logged with the message `failed`; the next run does the rest.
    """
    while not stopping.is_set():
        try:
            turn()
        except failures as error:
            logger.warning(failed, every_seconds, error)
        # Until the next run it would only occupy a database connection.
        connection.close()
        stopping.wait(every_seconds)
