"""Is the process up, and can it do its work: `/livez`, `/readyz`, `/metrics`.

Owns the probes of each part; never repairs anything.
"""

import os
import threading
import time
from collections.abc import Callable
from functools import wraps
from pathlib import Path

from django.conf import settings
from django.db import DatabaseError, InterfaceError, connection
from django.http import HttpRequest, HttpResponse
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest, multiprocess
from prometheus_client import REGISTRY as PROCESS_REGISTRY
from redis import Redis
from rest_framework.exceptions import MethodNotAllowed

from commerce.core import redis
from commerce.core.pipeline import Pipeline, Statement
from commerce.http.ending import is_ending
from commerce.http.json import dump, json_response
from commerce.http.problems import problem_response
from commerce.outbox.sinks import kafka

DATABASE_TIMEOUT_SECONDS = 2.0
KAFKA_TIMEOUT_SECONDS = 0.5
PROBE_KEY = "readyz"
AWAY = (DatabaseError, InterfaceError, redis.RedisAway, kafka.KafkaAway)
"""What a probe raises when its part does not answer."""


def read_only(view: Callable[..., HttpResponse]) -> Callable[..., HttpResponse]:
    """GET and HEAD only; anything else is the usual problem."""

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
    """200 while the process answers at all."""
    return json_response(dump({"status": "up"}))


@read_only
def readyz(request: HttpRequest) -> HttpResponse:
    """Each part with its state. 503 only without the database, for the shop sells on while Redis or Kafka is away, and
    from a server that is about to end, so that it is sent nobody any more.
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


@read_only
def metrics(request: HttpRequest) -> HttpResponse:
    """The numbers of all worker processes, for Prometheus."""
    registry = PROCESS_REGISTRY
    if settings.PROMETHEUS_MULTIPROC_DIR:
        _forget_the_dead(Path(settings.PROMETHEUS_MULTIPROC_DIR))
        registry = CollectorRegistry()
        multiprocess.MultiProcessCollector(registry)  # type: ignore[no-untyped-call]  # the library is untyped here
    return HttpResponse(generate_latest(registry), content_type=CONTENT_TYPE_LATEST)


def _forget_the_dead(folder: Path) -> None:
    """A worker that was killed says nothing any more: what it counted stays, what it found to be so does not."""
    for kept in folder.glob("gauge_live*_*.db"):
        try:
            os.kill(int(kept.stem.rpartition("_")[2]), 0)
        except (ProcessLookupError, PermissionError):
            # Nobody has its number, or somebody else's process. Another worker may be asked at the same moment.
            kept.unlink(missing_ok=True)


def _state(ask: Callable[[], object]) -> str:
    try:
        ask()
    except ReadOnly:
        return "read-only"
    except AWAY:
        return "down"
    return "up"


class ReadOnly(DatabaseError):
    """PostgreSQL answers, and takes no writes: it is a standby, or was made read-only."""


def ask_database() -> None:
    """Return when PostgreSQL takes writes. Raises one of `AWAY`, like all of these."""
    if _database.asks_whether_read_only():
        raise ReadOnly


class _Database:
    """A connection for probes alone: they wait for no customer, and no longer than they may."""

    _READ_ONLY = Statement("SELECT current_setting('transaction_read_only')")

    def __init__(self) -> None:
        self._one_at_a_time = threading.Lock()
        self._pipeline: Pipeline | None = None

    def asks_whether_read_only(self) -> bool:
        with self._one_at_a_time, connection.wrap_database_errors:
            pipeline, self._pipeline = self._pipeline, None
            if pipeline is None or not pipeline.is_usable:
                pipeline = Pipeline("commerce-probe")
            [[(answer,)]] = pipeline.run([self._READ_ONLY], deadline=time.monotonic() + DATABASE_TIMEOUT_SECONDS)
            if answer == "on":
                # The next probe connects anew, perhaps to the new primary.
                pipeline.close()
            else:
                self._pipeline = pipeline
            return bool(answer == "on")

    def close(self) -> None:
        if self._pipeline is not None:
            self._pipeline.close()


_database = _Database()


def close_connection() -> None:
    """Close the connection of the probes; the next one makes another."""
    _database.close()


def ask_locks() -> None:
    redis.locks.call(_write)


def ask_cache() -> None:
    redis.cache.call(_write)


def _write(client: Redis) -> object:
    """A replica, and a server whose memory is full, answer a PING."""
    return client.set(PROBE_KEY, 1, px=1_000)


def ask_kafka() -> None:
    kafka.ping(timeout_seconds=KAFKA_TIMEOUT_SECONDS)
