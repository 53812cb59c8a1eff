"""Is the process up, and can it do its work: `/livez`, `/readyz`, `/metrics`.

Owns the probes of each part; never repairs anything.
"""

import os
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

from commerce.core import redis, sql
from commerce.http.ending import is_ending
from commerce.http.json import dump, json_response
from commerce.http.problems import problem_response
from commerce.outbox.sinks import kafka

KAFKA_TIMEOUT_SECONDS = 0.5
PROBE_KEY = "readyz"
AWAY = (DatabaseError, InterfaceError, redis.RedisAway, kafka.KafkaAway)
"""What a probe raises when its part does not answer."""


def read_only(view: Callable[[HttpRequest], HttpResponse]) -> Callable[[HttpRequest], HttpResponse]:
    """GET and HEAD only; anything else is the usual problem."""

    @wraps(view)
    def answer(request: HttpRequest) -> HttpResponse:
        if request.method not in ("GET", "HEAD"):
            refusal = problem_response(request, MethodNotAllowed(str(request.method)))
            refusal.headers["Allow"] = "GET, HEAD"
            return refusal
        return view(request)

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
    """Return when PostgreSQL takes writes on the connection of this thread. Raises one of `AWAY`, like all of these."""
    row = sql.fetch_one("SELECT current_setting('transaction_read_only')::boolean")
    if row and row[0]:
        # The next probe connects anew, perhaps to the new primary.
        connection.close()
        raise ReadOnly


def ask_locks() -> None:
    redis.locks.call(_write)


def ask_cache() -> None:
    redis.cache.call(_write)


def _write(client: Redis) -> object:
    """A replica, and a server whose memory is full, answer a PING."""
    return client.set(PROBE_KEY, 1, px=1_000)


def ask_kafka() -> None:
    kafka.ping(timeout_seconds=KAFKA_TIMEOUT_SECONDS)
