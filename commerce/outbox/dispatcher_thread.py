"""A thread that drains one destination: when woken, at each poll, and when a failed message is due again."""

import logging
import threading

from django.db import Error as DatabaseFailure
from django.db import connection

from commerce.outbox.dispatcher import Dispatcher
from commerce.outbox.routes import WEBHOOKS
from commerce.outbox.webhook_dispatcher import WebhookDispatcher

logger = logging.getLogger(__name__)

GATHER_SECONDS = 0.02
"""How long a woken thread waits for more messages: under load one drain then serves many requests."""
_FIRST_TURN_SECONDS = 0.02
_LONGEST_TURN_SECONDS = 0.1
_RECOVERY_SECONDS = 1.0
_PAUSE_LOOK_SECONDS = 0.5


def dispatcher_of(destination: str) -> Dispatcher | WebhookDispatcher:
    """The dispatcher of `destination`."""
    return WebhookDispatcher() if destination == WEBHOOKS else Dispatcher(destination)


class DispatcherThread(threading.Thread):
    """Drains one destination repeatedly, on its own database connection, until it is stopped."""

    def __init__(self, destination: str, *, poll_seconds: float | None = None) -> None:
        """`poll_seconds`: drain this often without being woken; None: only when woken, or when a failure is due."""
        super().__init__(name=f"outbox-{destination}", daemon=True)
        self._dispatcher = dispatcher_of(destination)
        self._poll_seconds = poll_seconds
        self._woken = threading.Event()
        self._failed_in_request = threading.Event()
        self._stopping = threading.Event()
        self._turn_seconds = _FIRST_TURN_SECONDS
        # Drain once at the start: an earlier process may have left pending messages.
        self._may_wait = True

    def wake(self, *, failed: bool = False) -> None:
        """Signal a committed message; `failed`: a request has tried it already. Only sets a flag."""
        if failed:
            self._failed_in_request.set()
        self._woken.set()

    def ask_to_stop(self) -> None:
        """Let the thread finish its batch and end; `join` waits for that."""
        self._stopping.set()
        self._woken.set()

    def run(self) -> None:
        try:
            wait_seconds: float | None = 0.0
            while not self._stopping.is_set():
                self._woken.wait(wait_seconds)
                self._stopping.wait(GATHER_SECONDS)
                self._wait_for_breaker()
                self._woken.clear()
                wait_seconds = self._round()
        finally:
            connection.close()

    def _wait_for_breaker(self) -> None:
        """Wait for the end of the breaker's pause, which a successful request in sync mode may shorten."""
        while (seconds := self._dispatcher.pause_seconds()) > 0 and not self._stopping.is_set():
            self._stopping.wait(min(seconds, _PAUSE_LOOK_SECONDS))

    def _round(self) -> float | None:
        """Drain once and return how many seconds to wait for a wake; None: without limit."""
        if self._failed_in_request.is_set():
            self._failed_in_request.clear()
            self._may_wait = True
        try:
            drained = self._dispatcher.drain(stopping=self._stopping.is_set)
            if drained.elsewhere:
                return self._seconds_to_turn()
            self._turn_seconds = _FIRST_TURN_SECONDS
            self._may_wait = self._may_wait or drained.failed > 0
            return self._seconds_to_look()
        except DatabaseFailure as error:
            logger.warning("The outbox cannot be read, next try in %s s: %s", _RECOVERY_SECONDS, error)
        except Exception:
            # This is the process's only thread for the destination, so no error may end it.
            logger.exception("A drain of %s failed", self._dispatcher.destination)
        connection.close()
        self._stopping.wait(_RECOVERY_SECONDS)
        return 0.0

    def _seconds_to_turn(self) -> float | None:
        """Another process drains. It may have queried just before our message was committed, so drain again soon."""
        if not self._dispatcher.anything_due():
            self._turn_seconds = _FIRST_TURN_SECONDS
            return self._poll_seconds
        wait_seconds = self._turn_seconds
        self._turn_seconds = min(self._turn_seconds * 1.5, _LONGEST_TURN_SECONDS)
        return wait_seconds

    def _seconds_to_look(self) -> float | None:
        if self._dispatcher.pause_seconds() > 0:
            # Something is due and was not tried, or has failed: continue as soon as that is allowed.
            return 0.0
        if not self._may_wait:
            return self._poll_seconds
        next_attempt = self._dispatcher.seconds_to_next_attempt()
        if next_attempt is None:
            self._may_wait = False
            return self._poll_seconds
        return next_attempt if self._poll_seconds is None else min(next_attempt, self._poll_seconds)
