"""Whether the servers behind the shop answer, and how quickly: for people, where `/readyz` is for machines.

Owns the bound on the whole round of questions; what is asked of a server is `commerce.server.health`'s.
"""

import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from commerce.server import health

ANSWER_SECONDS = 0.5
"""A part that has not answered by then is shown as away."""

# All at once, so that three that are away cost as much as one. One that hangs for longer than it may keeps its thread,
# not the page; were all threads taken, the question would wait for one, and be given up in time as well.
_askers = ThreadPoolExecutor(max_workers=6, thread_name_prefix="health")


@dataclass(frozen=True)
class Part:
    """One server. `round_trip_ms` is None where it does not answer."""

    name: str | Promise
    round_trip_ms: float | None


def parts() -> list[Part]:
    """All of them, within `ANSWER_SECONDS`, but for PostgreSQL: without it there is no page to show this on."""
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
    except health.AWAY:
        return None
    return (time.perf_counter() - began) * 1_000
