"""F4: Redis is killed and restarted empty."""

from typing import Any

from commerce.core import redis_services
from commerce.core.locks import Held, RedisLocks
from tests.embedded.processes import is_alive
from tests.faults.fault import Fault, NotFired, Run
from tests.faults.shop import Variant

NEED_REDIS = Variant(patches=("tests.faults.f04_redis_killed.locks_need_redis",))


class RedisKilled(Fault):
    """All locks and cached pages are lost. Orders use advisory locks during the fault, and new Redis locks after it."""

    number = "F4"
    title = "Redis killed, empty afterwards"
    protection = "without Redis a write takes its locks in PostgreSQL"
    control_shows = "failed during"
    gap_seconds = (0.3, 1.0)
    hold_seconds = (1.0, 3.0)
    sells_on = True
    slowest_order_seconds = 5.0

    def control(self) -> Variant:
        return NEED_REDIS

    def strike(self, run: Run) -> str:
        pid = run.servers.redis.pid
        run.servers.redis.kill()
        if is_alive(pid):
            raise NotFired(f"Redis {pid} survived SIGKILL")
        return f"Redis {pid} killed"

    def heal(self, run: Run) -> None:
        run.servers.redis.start()


def locks_need_redis() -> None:
    """A write fails if Redis does not provide its locks."""
    acquire = RedisLocks._acquire

    def insist(*arguments: Any) -> Held:
        held = acquire(*arguments)
        if held.is_fallback:
            raise redis_services.RedisUnavailable("locks")
        return held

    RedisLocks._acquire = insist  # type: ignore[method-assign,assignment]  # that is the point
