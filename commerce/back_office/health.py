"""Health and response times of the servers behind the shop, for the dashboard; `/readyz` is for load balancers."""

import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from commerce.server import health

ANSWER_SECONDS = 0.5
"""A server that has not responded by then is shown as unavailable."""

# Concurrent, so that three unavailable servers take no longer than one. A check that hangs occupies its thread, not the
# page; with all threads occupied, new checks time out as well.
_askers = ThreadPoolExecutor(max_workers=6, thread_name_prefix="health")


@dataclass(frozen=True)
class Part:
    """One server. `round_trip_ms` is None if it does not respond."""

    name: str | Promise
    round_trip_ms: float | None


def parts() -> list[Part]:
    """All servers, within `ANSWER_SECONDS`. Not PostgreSQL: without it the page itself fails."""
    asked: dict[str | Promise, Future[float | None]] = {
        _("Redis (cache)"): _askers.submit(_round_trip_ms, health.ask_cache),
        _("Redis (locks)"): _askers.submit(_round_trip_ms, health.ask_locks),
        "Kafka": _askers.submit(_round_trip_ms, health.ask_kafka),
    }
    database = Part("PostgreSQL", _round_trip_ms(health.ask_database))
    answered, _late = wait(asked.values(), timeout=ANSWER_SECONDS)
    others = [Part(name, answer.result() if answer in answered else None) for name, answer in asked.items()]
    return [database, *others]


def _round_trip_ms(ask: Callable[[], None]) -> float | None:
    began = time.perf_counter()
    try:
        ask()
    except health.UNAVAILABLE:
        return None
    return (time.perf_counter() - began) * 1_000
