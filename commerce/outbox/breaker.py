"""Whether a destination that fails and fails is worth another call.

Owns the count of failures in a row and the pause after too many; never makes a call, and never says when a message is
due. Each process finds out for itself: what is shared would be asked before every call, and would be one more thing
that can be away.
"""

import logging
import math
import threading
import time

logger = logging.getLogger(__name__)


class Breaker:
    """Closed: any number of calls. Open: none. After the pause: one call, the probe, whose outcome decides.

    May be used by several threads.
    """

    def __init__(self, name: str, *, failures: int, pause_seconds: float) -> None:
        """Open after `failures` calls in a row that the destination failed, for `pause_seconds` at a time."""
        self._name = name
        self._limit = failures
        self._pause_seconds = pause_seconds
        self._guard = threading.Lock()
        self._in_a_row = 0
        self._open_until: float | None = None

    def pause_seconds(self) -> float:
        """How long no call is let through; 0.0: at least one is."""
        open_until = self._open_until
        return 0.0 if open_until is None else max(0.0, open_until - time.monotonic())

    def admit(self, calls: int) -> int:
        """How many of `calls` may be made now. Whoever is given any makes them, and reports."""
        with self._guard:
            if self._open_until is None:
                return calls
            now = time.monotonic()
            if now < self._open_until:
                return 0
            # A probe that is never reported, because its process dies or its thread fails, is followed by another.
            self._open_until = now + self._pause_seconds
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
            pause_seconds = self.pause_seconds()
        if is_open and not was_open:
            logger.warning("%s is left alone for %.1f s", self._name, pause_seconds)
        elif was_open and not is_open:
            logger.info("%s works again", self._name)

    def _open(self, seconds: float) -> None:
        self._open_until = max(self._open_until or -math.inf, time.monotonic() + seconds)
