"""The numbers the shop counts about itself, for Prometheus.

Owns their names and meaning; never acts on them.
"""

from prometheus_client import Counter, Gauge, Histogram

REQUESTS = Counter("commerce_requests_total", "Answered requests", ["route", "method", "status"])
REQUEST_SECONDS = Histogram(
    "commerce_request_seconds",
    "Time from the first middleware to the response, in seconds",
    ["route"],
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
)
TURNED_AWAY = Counter("commerce_turned_away_total", "Requests refused with 503 because too many came at once")
REDIS_FAILURES = Counter("commerce_redis_failures_total", "Redis calls that failed or timed out", ["alias"])
LOCK_FALLBACKS = Counter("commerce_lock_fallbacks_total", "Writes locked by PostgreSQL because Redis was away")
LOCK_TIMEOUTS = Counter("commerce_lock_timeouts_total", "Writes refused because a lock could not be had in time")
LOCKS_LOST = Counter("commerce_locks_lost_total", "Locks that had expired or vanished by the time of release")
THROTTLED = Counter("commerce_throttled_total", "Requests refused because there were too many", ["what"])
CACHE_LOOKUPS = Counter("commerce_cache_lookups_total", "Cached pages asked for", ["page", "outcome"])
OUTBOX_SENT = Counter("commerce_outbox_sent_total", "Messages delivered", ["destination"])
OUTBOX_FAILURES = Counter(
    "commerce_outbox_failures_total", "Deliveries that failed and will be tried again", ["destination"]
)
OUTBOX_BREAKER_OPEN = Gauge(
    "commerce_outbox_breaker_open",
    "1 while a process leaves the destination alone because its calls failed, 0 while it may call it",
    ["destination"],
    # Each process finds out for itself: one that stays away is worth a look. One that is gone says nothing.
    multiprocess_mode="livemax",
)
STATS_EVENTS = Counter("commerce_stats_events_total", "Order events seen by the statistics consumer", ["outcome"])
STATS_LAG = Gauge(
    "commerce_stats_lag",
    "Messages that this statistics consumer has yet to count; 0 for a partition that it no longer reads",
    ["topic", "partition"],
    multiprocess_mode="livesum",
)
STATS_RATE = Gauge(
    "commerce_stats_messages_per_second",
    "Messages that this statistics consumer went through, over its last few seconds",
    ["group"],
    multiprocess_mode="livesum",
)
REPLICA_READS = Counter(
    "commerce_replica_reads_total",
    "Reads that may be a little old, by the server that answered; `primary` while the replica is too far behind",
    ["server"],
)
