"""F5: all locks are lost repeatedly while many clients request a coupon."""

import time

import redis

from tests.faults.fault import Fault, NotFired, Run
from tests.faults.rush import COUNTED_FROM_MEMORY, MORE_UNITS_THAN_THERE_ARE, Rush
from tests.faults.shop import Variant

_PAUSE_SECONDS = 0.002
_MOST_RUSHES = 8


class RedisFlushedInARush(Fault):
    """FLUSHALL every few milliseconds: a second process gets the coupon's lock while the first still relies on it."""

    number = "F5"
    control_in_short = True
    title = "FLUSHALL in a coupon rush"
    protection = "a unit is counted by a statement that holds with the lock lost"
    control_shows = MORE_UNITS_THAN_THERE_ARE
    gap_seconds = (0.1, 0.3)

    def control(self) -> Variant:
        return COUNTED_FROM_MEMORY

    def strike(self, run: Run) -> str:
        """Request coupons until a lock was lost during a request: groups hold it for a few milliseconds only."""
        flushes = 0
        for _ in range(_MOST_RUSHES):
            flushes_now, lost = _flush_in_a_rush(run)
            flushes += flushes_now
            if lost:
                return f"{flushes} FLUSHALLs, {lost} while the coupon's lock was held"
        raise NotFired(f"nobody held the coupon's lock at any of {flushes} FLUSHALLs")


def _flush_in_a_rush(run: Run) -> tuple[int, int]:
    """The number of FLUSHALLs, and of those during which the coupon's lock was held."""
    rush = Rush(run, run.random)
    client = redis.Redis.from_url(run.servers.lock_redis_url)
    flushes = lost = 0
    rush.start()
    try:
        while rush.is_on:
            held = int(client.exists(f"coupon:{rush.coupon_id}:lock"))
            client.flushall()
            flushes += 1
            lost += held
            time.sleep(_PAUSE_SECONDS)
    finally:
        client.close()
        rush.wait()
    return flushes, lost
