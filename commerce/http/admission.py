"""How many requests a web process answers at one time, who waits, and who is asked to come back.

Owns the places of the process and the database connections that belong to them, so that a thread that only waits has
none; never looks into a request.
"""

import logging
import threading
from collections import deque
from collections.abc import Callable, Iterable
from types import TracebackType
from typing import Any

from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.http import HttpRequest, HttpResponse
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from commerce.core import metrics
from commerce.core.errors import Unavailable
from commerce.http.problems import problem_response

TURNED_AWAY = "commerce.turned_away"
# What tells an operator that the process is overloaded must not wait in its queue.
_NEVER_WAITS = ("/livez", "/metrics")

Wsgi = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


class Overloaded(Unavailable):
    """More requests came in than can be answered in time."""

    code = "service_unavailable"
    title = _("Temporarily unavailable")

    @property
    def detail(self) -> str | Promise:
        return _("Too many requests at once. Nothing was changed.")


class Place:
    """The right to be at work, and the connections to do it with; entered by one thread at a time.

    The connections are kept over requests and threads, so there are as many as places, however many threads wait.
    """

    def __init__(self) -> None:
        self._connections: dict[str, BaseDatabaseWrapper] = {}
        for alias in connections:
            connection = connections.create_connection(alias)
            connection.inc_thread_sharing()
            self._connections[alias] = connection

    def __enter__(self) -> None:
        for alias, connection in self._connections.items():
            connections[alias] = connection

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for alias in self._connections:
            del connections[alias]

    def close(self) -> None:
        """End the connections; nobody may be in the place."""
        for connection in self._connections.values():
            connection.close()


class _Turn:
    """Somebody who waits."""

    def __init__(self) -> None:
        self.place: Place | None = None
        self.came = threading.Lock()
        self.came.acquire()


class WaitingRoom:
    """Hands out places, first come, first served."""

    def __init__(self, places: Iterable[Place], *, waiting: int, wait_seconds: float) -> None:
        """`waiting`: how many may wait for a place at one time, each for `wait_seconds` at most."""
        self._free = list(places)
        self._turns: deque[_Turn] = deque()
        self._waiting = waiting
        self._wait_seconds = wait_seconds
        self._guard = threading.Lock()

    def take(self) -> Place | None:
        """A place; None when the room is full, or when none came free in time."""
        with self._guard:
            if self._free:
                return self._free.pop()
            if len(self._turns) >= self._waiting:
                return None
            turn = _Turn()
            self._turns.append(turn)
        if turn.came.acquire(timeout=self._wait_seconds):
            return turn.place
        with self._guard:
            if turn.place is None:
                self._turns.remove(turn)
            # Else it came while we were about to give up.
            return turn.place

    def give_back(self, place: Place) -> None:
        """The next in line has it."""
        with self._guard:
            if not self._turns:
                self._free.append(place)
                return
            turn = self._turns.popleft()
            turn.place = place
            turn.came.release()


class Admission:
    """WSGI: lets a request in when a place is free, and marks the one that has to be turned away.

    The web server gives each request a thread and knows no limit in time; here the wait ends. A body is read in full
    while its place is held.
    """

    def __init__(self, application: Wsgi, room: WaitingRoom) -> None:
        self._application = application
        self._room = room

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        if environ.get("PATH_INFO") in _NEVER_WAITS:
            return self._application(environ, start_response)
        place = self._room.take()
        if place is None:
            metrics.TURNED_AWAY.inc()
            environ[TURNED_AWAY] = True
            return self._application(environ, start_response)
        try:
            with place:
                return self._answer(environ, start_response)
        finally:
            self._room.give_back(place)

    def _answer(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        response = self._application(environ, start_response)
        try:
            return [b"".join(response)]
        finally:
            # Where Django looks after its connections: they are this thread's for as long as it has the place.
            close = getattr(response, "close", None)
            if close is not None:
                close()


class TurnAwayMiddleware:
    """Answers what was turned away, before anything asks the database."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if TURNED_AWAY in request.META:
            return problem_response(request, Overloaded())
        return self._get_response(request)


class LetInFilter(logging.Filter):
    """Leaves out the failures that are none: requests that were turned away."""

    def filter(self, record: logging.LogRecord) -> bool:
        request = getattr(record, "request", None)
        return request is None or TURNED_AWAY not in request.META
