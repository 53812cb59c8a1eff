"""Whether a destination that fails and fails is worth another call.

Owns the count of failures in a row, the pause after too many and its gauge; never makes a call, and never says when a
message is due. Each process finds out for itself: what is shared would be asked before every call, and would be one
more thing that can be away.
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
        """Open after `failures` calls in a row that the destination failed, for `pause_seconds` at a time."""
        self._destination = destination
        self._limit = failures
        self._pause_seconds = pause_seconds
        self._guard = threading.Lock()
        self._in_a_row = 0
        self._open_until: float | None = None
        self._shown_open = False

    def pause_seconds(self) -> float:
        """How long no call is let through; 0.0: at least one is."""
        seconds = self._seconds_left()
        if not seconds and self._shown_open:
            # The end of a pause is noticed only here. There may be nothing to probe with for hours.
            with self._guard:
                self._show()
        return seconds

    def admit(self, calls: int) -> int:
        """How many of `calls` may be made now. The caller makes them and reports their results."""
        with self._guard:
            if self._open_until is None:
                return calls
            now = time.monotonic()
            if now < self._open_until:
                return 0
            # A probe that is never reported, because its process dies or its thread fails, is followed by another.
            self._open_until = now + self._pause_seconds
            self._show()
            return min(calls, 1)

    def report(self, *, failed: int, worked: bool, asked_seconds: float = 0.0) -> None:
        """What became of some calls.

        `failed`: how many the destination failed; `worked`: whether it answered one as it should;
        `asked_seconds`: how long it asked to be left alone.
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
        """Called with the guard held, so that the gauge says what was decided last."""
        self._shown_open = self._seconds_left() > 0
        metrics.OUTBOX_BREAKER_OPEN.labels(self._destination).set(self._shown_open)
