"""The shop's Prometheus metrics.

The write path does not update metrics directly, which would take a dozen calls. It appends values to `noted`, and a
thread adds them to the metrics once a second. An append is one call in C and is thread-safe.
"""

import logging
import threading
from collections import deque
from collections.abc import Callable

from prometheus_client import Counter, Gauge, Histogram

logger = logging.getLogger(__name__)

REQUESTS = Counter("commerce_requests_total", "Answered requests", ["route", "method", "status"])
REQUEST_SECONDS = Histogram(
    "commerce_request_seconds",
    "Time from the first middleware to the response, in seconds",
    ["route"],
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
)
TURNED_AWAY = Counter("commerce_turned_away_total", "Requests refused with 503 because too many came at once")
REDIS_FAILURES = Counter("commerce_redis_failures_total", "Redis calls that failed or timed out", ["alias"])
LOCK_FALLBACKS = Counter("commerce_lock_fallbacks_total", "Writes locked by PostgreSQL because Redis was unavailable")
LOCK_TIMEOUTS = Counter("commerce_lock_timeouts_total", "Writes refused because a lock was not available in time")
LOCKS_LOST = Counter("commerce_locks_lost_total", "Locks that had expired or vanished by the time of release")
THROTTLED = Counter("commerce_throttled_total", "Requests refused because there were too many", ["what"])
CACHE_LOOKUPS = Counter("commerce_cache_lookups_total", "Lookups of cached pages", ["page", "outcome"])
OUTBOX_SENT = Counter("commerce_outbox_sent_total", "Messages delivered", ["destination"])
OUTBOX_FAILURES = Counter(
    "commerce_outbox_failures_total", "Deliveries that failed and will be tried again", ["destination"]
)
OUTBOX_BREAKER_OPEN = Gauge(
    "commerce_outbox_breaker_open",
    "1 while a process does not call the destination because its calls failed, otherwise 0",
    ["destination"],
    # Each process has its own circuit breaker, so the largest value is reported. Dead processes do not count.
    multiprocess_mode="livemax",
)
STATS_EVENTS = Counter("commerce_stats_events_total", "Order events seen by the statistics consumer", ["outcome"])
STATS_LAG = Gauge(
    "commerce_stats_lag",
    "Messages that this statistics consumer has not counted yet; 0 for a partition that it no longer reads",
    ["topic", "partition"],
    multiprocess_mode="livesum",
)
STATS_RATE = Gauge(
    "commerce_stats_messages_per_second",
    "Messages per second of this statistics consumer, over the last few seconds",
    ["group"],
    multiprocess_mode="livesum",
)
REPLICA_READS = Counter(
    "commerce_replica_reads_total",
    "Reads that may be slightly stale, by the server that was used; `primary` while the replica is too far behind",
    ["server"],
)

GROUP_WRITES = Histogram(
    "commerce_group_writes", "How many writes shared a transaction", buckets=(1, 2, 4, 8, 16, 32, 48, 64)
)
GROUP_WAIT_SECONDS = Histogram(
    "commerce_group_wait_seconds",
    "How long the first write of a group had waited when the group began, in seconds",
    buckets=(0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2, 3),
)
LOCKS_HELD_SECONDS = Histogram(
    "commerce_locks_held_seconds",
    "How long a group held its Redis locks, which is how long its transaction took, in seconds",
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
)
LOCKS_BUSY = Counter("commerce_locks_busy_total", "Writes that found a lock held by another process, and waited for it")
REFUSALS = Counter("commerce_refusals_total", "Problem responses by their code", ["code"])
MONEY_WON = Counter("commerce_money_won_total", "Won that committed ledger entries have moved, either way", ["type"])

ARCHIVE_FINISHED = Gauge(
    "commerce_archive_finished_timestamp_seconds", "When manage.py archive last finished, in Unix seconds; 0: not yet"
)
ARCHIVE_HELD_UP = Gauge(
    "commerce_archive_held_up_timestamp_seconds",
    "When the oldest row was written that cannot be archived although it is old enough, in Unix seconds; 0: none",
    ["by"],
)


class ByLabel(dict[str, Callable[[float], None]]):
    """The `inc` functions of one counter by label value. They are cached, because a lookup is slower than `inc`."""

    def __init__(self, counter: Counter) -> None:
        super().__init__()
        self._counter = counter

    def __missing__(self, value: str) -> Callable[[float], None]:
        add: Callable[[float], None] = self._counter.labels(value).inc
        self[value] = add
        return add


add_refusals = ByLabel(REFUSALS)
add_money = ByLabel(MONEY_WON)

MOST_NOTED = 65_536
"""More values than a process can append in `_ADD_SECONDS`. Beyond that the oldest are dropped."""
_ADD_SECONDS = 1.0
noted: deque[tuple[Callable[[float], None], float]] = deque(maxlen=MOST_NOTED)
"""Values that are not added yet: the method to call (`inc` or `observe` of a metric) and the number."""


def add_noted() -> None:
    """Add the values in `noted` to their metrics."""
    sums: dict[Callable[[float], None], float] = {}
    for _ in range(len(noted)):
        try:
            add, number = noted.popleft()
        except IndexError:
            # Another thread has taken the last value.
            break
        if add.__name__ == "inc":
            sums[add] = sums.get(add, 0) + number
        else:
            add(number)
    for add, total in sums.items():
        add(total)


def keep_adding() -> None:
    """Start the thread that adds `noted` once a second. The values of a process's last second may be lost."""
    threading.Thread(target=_add_for_ever, name="metrics", daemon=True).start()


def _add_for_ever() -> None:
    never = threading.Event()
    while not never.wait(_ADD_SECONDS):
        try:
            add_noted()
        except Exception:
            # For example a full disk below PROMETHEUS_MULTIPROC_DIR. The thread has to survive that: there is no other.
            logger.exception("The metrics could not be added")
