"""`manage.py expire_reservations`: end expired reservations and release their stock (`reservations.services`)."""

from collections.abc import Callable

from commerce.core.repeated import CountingCommand
from reservations.services import expire_reservations


class Command(CountingCommand):
    help = (
        "End expired reservations, so that their units are shown as available. An order or a reservation that needs "
        "these units does so as well. Can be repeated and run concurrently with itself. With --every: repeat until "
        "SIGTERM or Ctrl-C; while the database is unavailable, wait for the next run."
    )
    # An hour: until a run, the stock of expired reservations is shown as unavailable.
    most_minutes = 60
    unit = "reservation"
    counted = "ended"
    failed = "Reservations could not be ended, next try in %.0f s: %s"
    ended = "Stopped"

    def turn(self, stopping: Callable[[], bool], on_batch: Callable[[int], object]) -> int:
        return expire_reservations(stopping=stopping, on_batch=on_batch)

    def sentence(self, count: int) -> str:
        return f"{count} reservations ended"
