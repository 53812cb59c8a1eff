"""A circuit breaker for calls to a destination.

It counts consecutive failures and opens for a pause after too many. The state is local to the process: shared state
would need a round trip before every call, and could itself be unavailable.
"""

import logging
import math
import threading
import time

from commerce.core import metrics

logger = logging.getLogger(__name__)


class Breaker:
    """Closed: any number of calls. Open: none. After the pause: one call, the probe, whose outcome decides.

    May be used by several threads.
    """

    def __init__(self, destination: str, *, failures: int, pause_seconds: float) -> None:
        """Open after `failures` consecutive failed calls, for `pause_seconds` at a time."""
        self._destination = destination
        self._limit = failures
        self._pause_seconds = pause_seconds
        self._guard = threading.Lock()
        self._in_a_row = 0
        self._open_until: float | None = None
        self._shown_open = False

    def pause_seconds(self) -> float:
        """The remaining seconds during which no call is admitted; 0.0 if at least one is."""
        seconds = self._seconds_left()
        if not seconds and self._shown_open:
            # The end of a pause is only noticed here; there may be nothing to send for hours.
            with self._guard:
                self._show()
        return seconds

    def admit(self, calls: int) -> int:
        """The number of `calls` that are admitted now. The caller makes them and reports their results."""
        with self._guard:
            if self._open_until is None:
                return calls
            now = time.monotonic()
            if now < self._open_until:
                return 0
            # A probe that is never reported, because its thread fails, is followed by another one.
            self._open_until = now + self._pause_seconds
            self._show()
            return min(calls, 1)

    def report(self, *, failed: int, worked: bool, asked_seconds: float = 0.0) -> None:
        """Report the results of calls.

        `failed`: number of calls that the destination failed; `worked`: whether at least one succeeded;
        `asked_seconds`: the pause that the destination asked for (`Retry-After`).
        """
        with self._guard:
            was_open = self._open_until is not None
            self._in_a_row = 0 if worked else self._in_a_row + failed
            if asked_seconds > 0:
                self._open(asked_seconds)
            elif worked:
                self._open_until = None
            elif self._in_a_row >= self._limit or was_open:
                self._open(self._pause_seconds)
            is_open = self._open_until is not None
            pause_seconds = self._seconds_left()
            self._show()
        if is_open and not was_open:
            logger.warning("%s is left alone for %.1f s", self._destination, pause_seconds)
        elif was_open and not is_open:
            logger.info("%s works again", self._destination)

    def _open(self, seconds: float) -> None:
        self._open_until = max(self._open_until or -math.inf, time.monotonic() + seconds)

    def _seconds_left(self) -> float:
        open_until = self._open_until
        return 0.0 if open_until is None else max(0.0, open_until - time.monotonic())

    def _show(self) -> None:
        """Update the gauge. Called with the guard held, so that it shows the latest state."""
        self._shown_open = self._seconds_left() > 0
        metrics.OUTBOX_BREAKER_OPEN.labels(self._destination).set(self._shown_open)
