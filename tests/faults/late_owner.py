"""A request whose locks expire in the middle of a write, while other requests get the locks.

Contains the late request and the wait for the expiry of its locks. The faults define its write and the other requests.
"""

import threading

import redis

from tests.faults.burst import Ask, ask
from tests.faults.fault import Fault, NotFired, Run
from tests.faults.history import Call
from tests.faults.shop import Variant

LATE = "late"
"""The prefix of the late request's failpoints."""
_SETTINGS = {"LOCK_TTL_SECONDS": "0.5", "DATABASE_IDLE_TIMEOUT_MS": "20000"}
"""Locks that expire long before an idle transaction is ended."""
_LONGEST_SECONDS = 14.0


class LateOwner(Fault):
    """A write that is delayed inside its transaction for longer than its Redis locks live."""

    gap_seconds = (0.1, 0.3)

    def __init__(self) -> None:
        self._thread: threading.Thread | None = None
        self._calls: list[Call] = []

    def variant(self) -> Variant:
        return Variant(settings=_SETTINGS)

    def naive(self, *patches: str) -> Variant:
        """The same shop with these patches."""
        return Variant(settings=_SETTINGS, patches=patches)

    def begin(self, run: Run, asked: Ask, *, step: str, action: str) -> int:
        """Send the late request; returns the process that is delayed at `step`. Raises NotFired."""
        point = f"{LATE}.{step}"
        before = run.fired(point)
        run.shop.points.arm(point, action)
        self._calls = []
        self._thread = threading.Thread(target=lambda: self._calls.append(ask(run, asked)), daemon=True)
        self._thread.start()
        return run.wait_for_point(point, fired_before=before)

    def wait_for_lock_to_end(self, run: Run, key: str) -> None:
        """Wait until the late owner's lock has expired while its write is running. Raises NotFired."""
        client = redis.Redis.from_url(run.servers.lock_redis_url)
        try:
            if not run.wait_until(lambda: not client.exists(key), seconds=5):
                raise NotFired(f"{key} was still held 5 s after its owner was held up")
        finally:
            client.close()
        if self._calls:
            raise NotFired(f"the late owner was not late: {self._calls[0]}")

    def end(self, run: Run) -> Call:
        """The response to the late request. Raises NotFired."""
        assert self._thread is not None
        run.wait_until(lambda: bool(self._calls), seconds=_LONGEST_SECONDS)
        if not self._calls:
            raise NotFired("the late request was never answered")
        return self._calls[0]
