"""What a web process does with new messages after the commit: it wakes its dispatcher threads.

In sync mode it calls the data platform within the request instead. Errors never fail the request.
"""

import atexit
import logging
import os
import threading
from collections.abc import Collection

from django.conf import settings
from django.db import Error as DatabaseFailure

from commerce.outbox.dispatcher import Dispatcher
from commerce.outbox.dispatcher_thread import DispatcherThread
from commerce.outbox.routes import DATA_PLATFORM

logger = logging.getLogger(__name__)

_STOP_SECONDS = 6.0


def delivers_in_request(destination: str) -> bool:
    """Whether requests call this destination themselves after commit (`DATA_PLATFORM_DELIVERY=sync`)."""
    return destination == DATA_PLATFORM and settings.DATA_PLATFORM_DELIVERY == "sync"


def deliver_in_request(event_id: str) -> None:
    """Send this event to the data platform now. A failure is left to the dispatcher."""
    if not _delivered(event_id) and settings.OUTBOX_DISPATCH_IN_WEB:
        _threads.wake(DATA_PLATFORM, failed=True)


def wake(destinations: Collection[str]) -> None:
    """Wake the threads of these destinations."""
    if settings.OUTBOX_DISPATCH_IN_WEB:
        for destination in destinations:
            _threads.wake(destination)


def stop() -> None:
    """End this process's dispatcher threads after their current batch; the next event starts new ones."""
    _threads.stop()


def _delivered(event_id: str) -> bool:
    try:
        return Dispatcher(DATA_PLATFORM).deliver_now(event_id)
    except DatabaseFailure:
        # The message stays in the outbox, and the order is unaffected.
        logger.exception("%s could not be delivered at once", event_id)
        return False


class _Threads:
    """One thread per destination, so that a slow partner does not delay Kafka. Started on first use, after the fork."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._by_destination: dict[str, DispatcherThread] = {}
        os.register_at_fork(after_in_child=self._after_fork)
        atexit.register(self.stop)

    def wake(self, destination: str, *, failed: bool = False) -> None:
        thread = self._by_destination.get(destination)
        if thread is None or not thread.is_alive():
            thread = self._start(destination)
        thread.wake(failed=failed)

    def stop(self) -> None:
        with self._guard:
            threads, self._by_destination = list(self._by_destination.values()), {}
        for thread in threads:
            thread.ask_to_stop()
        for thread in threads:
            thread.join(_STOP_SECONDS)

    def _start(self, destination: str) -> DispatcherThread:
        with self._guard:
            thread = self._by_destination.get(destination)
            if thread is None or not thread.is_alive():
                thread = self._by_destination[destination] = DispatcherThread(destination)
                thread.start()
            return thread

    def _after_fork(self) -> None:
        self._guard = threading.Lock()
        self._by_destination = {}


_threads = _Threads()
