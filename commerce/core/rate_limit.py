"""Rate limiting with counters in Redis that all processes share.

Contains the algorithm and the fallback for times without Redis. Callers choose the keys and render the refusals.
"""

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import ceil
from typing import TypeVar

from commerce.core import redis_services

T = TypeVar("T")

UNASKED = 2
"""Uses per process that are allowed without asking Redis after a period without uses. The next use reports them."""
_MOST_KNOWN = 20_000

# A counter is one time (GCRA): the time at which all uses so far are paid off, one interval per use. All counters of a
# use are changed together or not at all, in one step, so that simultaneous requests cannot exceed the limit. The clock
# is that of Redis, the same for all processes. The `min` keeps a clock that is set back from blocking callers.
TAKE = """
    local clock = redis.call('time')
    local now = clock[1] * 1000000 + clock[2]
    local paid_off, wait = {}, 0
    for position = 1, #KEYS do
        local interval = tonumber(ARGV[3 * position - 2])
        local at_once = tonumber(ARGV[3 * position - 1])
        local known = tonumber(redis.call('get', KEYS[position]) or 0)
        local busy_until = math.min(math.max(known, now), now + at_once * interval)
        paid_off[position] = busy_until + ARGV[3 * position] * interval
        wait = math.max(wait, paid_off[position] + interval - at_once * interval - now)
    end
    for position = 1, #KEYS do
        if wait <= 0 then paid_off[position] = paid_off[position] + ARGV[3 * position - 2] end
        local left = math.ceil((paid_off[position] - now) / 1000)
        if left > 0 then redis.call('set', KEYS[position], string.format('%.0f', paid_off[position]), 'px', left) end
    end
    return {math.ceil(wait), math.ceil(paid_off[1] - now)}
"""

FORGIVE = """
    redis.call('del', KEYS[1])
    if redis.call('exists', KEYS[2]) == 1 then redis.call('decrby', KEYS[2], ARGV[1]) end
    return 1
"""


@dataclass(frozen=True)
class Limit:
    """A burst of `at_once` uses, and `per_second` more as time passes; 0 per second means no limit."""

    name: str
    per_second: float
    at_once: int

    @property
    def interval_us(self) -> int:
        """Microseconds that it takes to pay off one use."""
        return max(1, round(1_000_000 / self.per_second))

    @property
    def rest_seconds(self) -> float:
        """Seconds without a use after which all uses are paid off."""
        return self.at_once / self.per_second

    @cached_property
    def policy(self) -> tuple[str, str]:
        """The response header of the limit: `"writes";q=40;w=2`. After `w` seconds without a use all are paid off."""
        return "RateLimit-Policy", f'"{self.name}";q={self.at_once};w={ceil(self.rest_seconds - 0.001)}'


@dataclass(frozen=True)
class Counter:
    """The uses of one limit by one caller."""

    limit: Limit
    who: str

    @property
    def key(self) -> str:
        return f"limit:{self.limit.name}:{self.who}"


Taken = tuple[float, float]
"""The result of one use: seconds to wait until it is allowed (0.0: it is), and seconds until all uses are paid off."""


def take(*counters: Counter) -> Taken:
    """Use each of the counters once, or none of them. The second value of the result is that of the first counter.

    While Redis is unavailable, each process counts on its own.
    """
    counters = tuple(counter for counter in counters if counter.limit.per_second > 0)
    return _take(counters, [0] * len(counters)) if counters else (0.0, 0.0)


def take_often(counter: Counter) -> Taken:
    """`take` for the hot path: infrequent callers cost no Redis call.

    In return a caller may get up to `UNASKED` uses too many from each process, and the second value of the result only
    covers the uses that this process has counted or read from Redis.
    """
    wait, busy, unreported = _local_quota.use(counter)
    if unreported is None:
        return wait, busy
    wait, busy = _take((counter,), [unreported])
    _local_quota.note(counter, wait, busy)
    return wait, busy


def forgive(pair: Counter, name: Counter) -> None:
    """Reset the counter `pair`, and return one use of `name`."""
    _local_counters.forgive(pair, name)
    try:
        redis_services.cache.run_script(
            FORGIVE, [pair.key, name.key], [name.limit.interval_us if name.limit.per_second else 0]
        )
    except redis_services.RedisUnavailable:
        # The process counts on its own then, and its counters are reset already.
        return


def forget_everything() -> None:
    """Reset the counters of this process. For tests."""
    _local_quota.clear()
    _local_counters.clear()


def _take(counters: Sequence[Counter], unreported: Sequence[int]) -> Taken:
    arguments: list[int] = []
    for counter, uses in zip(counters, unreported, strict=True):
        arguments += [counter.limit.interval_us, counter.limit.at_once, uses]
    try:
        wait_us, busy_us = redis_services.cache.run_script(TAKE, [counter.key for counter in counters], arguments)
    except redis_services.RedisUnavailable:
        wait_us, busy_us = _local_counters.take(counters, unreported)
    return max(0, wait_us) / 1_000_000, max(0, busy_us) / 1_000_000


class _LocalCounters:
    """The same algorithm within this process, for as long as Redis is unavailable."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._paid_off_us: dict[str, int] = {}

    def take(self, counters: Sequence[Counter], unreported: Sequence[int]) -> tuple[int, int]:
        """Microseconds to wait (0 or less if the use is allowed), and microseconds until all uses are paid off."""
        now = _now_us()
        with self._guard:
            if len(self._paid_off_us) > _MOST_KNOWN:
                _forget(self._paid_off_us, lambda until: until <= now)
            paid_off = [
                max(self._paid_off_us.get(counter.key, 0), now) + uses * counter.limit.interval_us
                for counter, uses in zip(counters, unreported, strict=True)
            ]
            wait = max(
                until - (counter.limit.at_once - 1) * counter.limit.interval_us - now
                for counter, until in zip(counters, paid_off, strict=True)
            )
            for counter, until in zip(counters, paid_off, strict=True):
                self._paid_off_us[counter.key] = until + (counter.limit.interval_us if wait <= 0 else 0)
            return wait, self._paid_off_us[counters[0].key] - now

    def forgive(self, pair: Counter, name: Counter) -> None:
        with self._guard:
            self._paid_off_us.pop(pair.key, None)
            if name.key in self._paid_off_us:
                self._paid_off_us[name.key] -= name.limit.interval_us

    def clear(self) -> None:
        with self._guard:
            self._paid_off_us.clear()


@dataclass(slots=True)
class _Use:
    """The uses of one counter in this process, until all of them are paid off."""

    rested_at: float
    unasked: int = 0
    unreported: int = 0
    refused_until: float = 0.0
    paid_off_at: float = 0.0


class _LocalQuota:
    """Counts in this process, so that infrequent callers, and those refused just now, cost no Redis call."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._uses: dict[str, _Use] = {}

    def use(self, counter: Counter) -> tuple[float, float, int | None]:
        """The result of the use and None; or the number of unreported uses that Redis has to count with this one."""
        now, limit = time.monotonic(), counter.limit
        with self._guard:
            use = self._uses.get(counter.key)
            if use is None or use.rested_at <= now:
                if len(self._uses) > _MOST_KNOWN:
                    _forget(self._uses, lambda known: known.rested_at <= now)
                use = self._uses[counter.key] = _Use(now)
            use.rested_at = now + limit.rest_seconds
            if use.refused_until > now:
                return use.refused_until - now, use.paid_off_at - now, None
            if use.unasked < min(UNASKED, limit.at_once - 1):
                use.unasked += 1
                use.unreported += 1
                use.paid_off_at = max(use.paid_off_at, now) + 1 / limit.per_second
                return 0.0, use.paid_off_at - now, None
            unreported, use.unreported = use.unreported, 0
            return 0.0, 0.0, unreported

    def note(self, counter: Counter, wait_seconds: float, busy_seconds: float) -> None:
        """Store the reply of Redis."""
        now = time.monotonic()
        with self._guard:
            use = self._uses.get(counter.key)
            if use is not None:
                use.paid_off_at = now + busy_seconds
                if wait_seconds:
                    use.refused_until = now + wait_seconds

    def clear(self) -> None:
        with self._guard:
            self._uses.clear()


def _forget(known: dict[str, T], is_over: Callable[[T], bool]) -> None:
    """Remove expired entries; if too few have expired, all of them, so that not every new key searches again."""
    kept = {key: value for key, value in known.items() if not is_over(value)}
    known.clear()
    if len(kept) <= _MOST_KNOWN // 2:
        known.update(kept)


def _now_us() -> int:
    return time.monotonic_ns() // 1_000


_local_counters = _LocalCounters()
_local_quota = _LocalQuota()
