"""F7: the memory of Redis is full: it evicts locks or refuses new ones."""

import secrets
from contextlib import suppress

import redis
from redis.exceptions import OutOfMemoryError

from tests.faults.f04_redis_killed import NEED_REDIS
from tests.faults.fault import Fault, NotFired, Run
from tests.faults.rush import COUNTED_FROM_MEMORY, MORE_UNITS_THAN_THERE_ARE, Rush
from tests.faults.shop import Variant

_ROOM_BYTES = 400_000
_JUNK_BYTES = 40_000


def _unlimited(client: redis.Redis) -> None:
    client.config_set("maxmemory", 0)
    client.config_set("maxmemory-policy", "noeviction")


class RedisEvicts(Fault):
    """An evicting cache is used for locks: under load any key may be evicted at any time."""

    number = "F7a"
    title = "Redis full, evicting locks"
    protection = "a unit is counted by a statement that holds with the lock lost"
    control_shows = MORE_UNITS_THAN_THERE_ARE
    gap_seconds = (0.1, 0.3)

    def control(self) -> Variant:
        return COUNTED_FROM_MEMORY

    def strike(self, run: Run) -> str:
        rush = Rush(run, run.random)
        lock = f"coupon:{rush.coupon_id}:lock"
        junk = secrets.token_bytes(_JUNK_BYTES)
        lost = 0
        with redis.Redis.from_url(run.servers.lock_redis_url) as client:
            client.flushall()
            used: int = client.info("memory")["used_memory"]
            client.config_set("maxmemory-policy", "allkeys-random")
            client.config_set("maxmemory", used + _ROOM_BYTES)
            try:
                rush.start()
                while rush.is_on:
                    held = client.get(lock)
                    # The connections of the rush may use the room for a moment; evicting all keys is not enough then.
                    with suppress(OutOfMemoryError):
                        client.set(f"junk:{secrets.token_hex(4)}", junk)
                    # Its holder releases it by itself in a few milliseconds, so this errs on the low side only where
                    # another one has it by now.
                    lost += held is not None and client.get(lock) is None
            finally:
                evicted: int = client.info("stats")["evicted_keys"]
                _unlimited(client)
                client.flushall()
                rush.wait()
        if not evicted:
            raise NotFired("Redis evicted nothing")
        return f"{evicted} keys evicted since Redis began, the coupon's lock gone {lost} times"


class RedisRefuses(Fault):
    """`noeviction`: Redis replies with an error to every write. Orders use advisory locks."""

    number = "F7b"
    title = "Redis full, refusing"
    protection = "without Redis a write takes its locks in PostgreSQL"
    control_shows = "failed during"
    gap_seconds = (0.3, 1.0)
    hold_seconds = (1.5, 3.0)
    sells_on = True
    slowest_order_seconds = 5.0

    def control(self) -> Variant:
        return NEED_REDIS

    def strike(self, run: Run) -> str:
        with redis.Redis.from_url(run.servers.lock_redis_url) as client:
            client.config_set("maxmemory", 1)
            try:
                client.set("one:more", "key")
            except redis.ResponseError as refusal:
                return f"Redis says: {refusal}"
        raise NotFired("Redis took one more key")

    def heal(self, run: Run) -> None:
        with redis.Redis.from_url(run.servers.lock_redis_url) as client:
            _unlimited(client)
