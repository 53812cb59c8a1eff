"""Health checks: liveness (`/livez`) and readiness (`/readyz`)."""

import threading
import time
from collections.abc import Callable, Sequence
from functools import wraps

from django.db import DatabaseError, InterfaceError, connection
from django.http import HttpRequest, HttpResponse
from redis import Redis
from rest_framework.exceptions import MethodNotAllowed

from commerce.core import redis_services
from commerce.core.pipeline import Pipeline, Rows, Statement
from commerce.outbox.sinks import kafka
from commerce.server.ending import is_ending
from commerce.server.json_codec import dump, json_response
from commerce.server.problems import problem_response

DATABASE_TIMEOUT_SECONDS = 2.0
KAFKA_TIMEOUT_SECONDS = 0.5
PROBE_KEY = "readyz"
UNAVAILABLE = (DatabaseError, InterfaceError, redis_services.RedisUnavailable, kafka.KafkaUnavailable)
"""Exceptions of a probe whose dependency does not answer."""


def read_only(view: Callable[..., HttpResponse]) -> Callable[..., HttpResponse]:
    """Allow GET and HEAD only; other methods get a problem document."""

    @wraps(view)
    def answer(request: HttpRequest, **parameters: str) -> HttpResponse:
        if request.method not in ("GET", "HEAD"):
            refusal = problem_response(request, MethodNotAllowed(str(request.method)))
            refusal.headers["Allow"] = "GET, HEAD"
            return refusal
        return view(request, **parameters)

    return answer


@read_only
def livez(request: HttpRequest) -> HttpResponse:
    """200 as long as the process responds."""
    return json_response(dump({"status": "up"}))


@read_only
def readyz(request: HttpRequest) -> HttpResponse:
    """The state of each dependency. 503 only if the database is unavailable, because the shop works without Redis and
    Kafka, or if the server is about to stop, so that load balancers send it no more requests.
    """
    parts = {
        "database": _state(ask_database),
        "redis": _state(ask_locks),
        "cache": _state(ask_cache),
        "kafka": _state(ask_kafka),
    }
    ready = parts["database"] == "up" and not is_ending()
    body = {"status": "ready" if ready else "not ready", **parts}
    return json_response(dump(body), status=200 if ready else 503)


def _state(ask: Callable[[], object]) -> str:
    try:
        ask()
    except ReadOnly:
        return "read-only"
    except UNAVAILABLE:
        return "down"
    return "up"


class ReadOnly(DatabaseError):
    """PostgreSQL answers but accepts no writes: it is a standby or read-only."""


def ask_database() -> None:
    """Return if PostgreSQL accepts writes. All probes raise one of `UNAVAILABLE`."""
    [[(answer,)]] = probe.run([_IS_READ_ONLY])
    if answer == "on":
        # The next probe connects again, possibly to a new primary.
        probe.close()
        raise ReadOnly


_IS_READ_ONLY = Statement("SELECT current_setting('transaction_read_only')")


class ProbeConnection:
    """A connection that only probes use, so that they do not wait for requests. It has its own timeout."""

    def __init__(self, application_name: str) -> None:
        self._application_name = application_name
        self._one_at_a_time = threading.Lock()
        self._pipeline: Pipeline | None = None

    def run(self, statements: Sequence[Statement]) -> list[Rows]:
        """The rows of each statement, within `DATABASE_TIMEOUT_SECONDS`. Raises one of `UNAVAILABLE`."""
        with self._one_at_a_time, connection.wrap_database_errors:
            pipeline, self._pipeline = self._pipeline, None
            if pipeline is None or not pipeline.is_usable:
                pipeline = Pipeline(self._application_name)
            rows = pipeline.run(statements, deadline=time.monotonic() + DATABASE_TIMEOUT_SECONDS)
            self._pipeline = pipeline
            return rows

    def close(self) -> None:
        with self._one_at_a_time:
            pipeline, self._pipeline = self._pipeline, None
        if pipeline is not None:
            pipeline.close()


probe = ProbeConnection("commerce-probe")
figures = ProbeConnection("commerce-metrics")
"""A separate connection, because the shop's metrics take longer to read than a probe may wait."""


def close_connection() -> None:
    """Close the connections of the probes. The next probe opens new ones."""
    probe.close()
    figures.close()


def ask_locks() -> None:
    redis_services.locks.call(_write)


def ask_cache() -> None:
    redis_services.cache.call(_write)


def _write(client: Redis) -> object:
    """Probe with a write: a replica and a server whose memory is full also answer a PING."""
    return client.set(PROBE_KEY, 1, px=1_000)


def ask_kafka() -> None:
    kafka.ping(timeout_seconds=KAFKA_TIMEOUT_SECONDS)
