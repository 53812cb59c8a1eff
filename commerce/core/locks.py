"""The shop's Redis locks: their names, how they are acquired, and `locked_transaction` for staff edits.

These locks only reduce contention. Row locks and database constraints keep the data correct even if every lock here has
expired, was lost or evicted, or is switched off.
"""

import logging
import random
import secrets
import threading
import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

import orjson
from django.conf import settings
from django.db import transaction

from commerce.core import metrics, redis_services, sql
from commerce.core.errors import LockTimeout
from commerce.core.pipeline import Statement
from commerce.core.transaction import Transaction, call_and_log
from commerce.core.waiting import Signal, sleep

logger = logging.getLogger(__name__)

# The complete list of lock names. They are documented, because operators see them in redis-cli.


def user_lock(user_id: int) -> str:
    return f"user:{user_id}:lock"


def coupon_lock(coupon_id: int) -> str:
    return f"coupon:{coupon_id}:lock"


def product_lock(product_id: int) -> str:
    return f"product:{product_id}:lock"


def page_lock(page: str) -> str:
    return f"page:{page}:lock"


def request_lock(caller_id: int, idempotency_key: str) -> str:
    return f"request:{caller_id}:{idempotency_key}:lock"


class KeyTimeout(LockTimeout):
    """A LockTimeout with the key of the lock that was not available."""

    def __init__(self, key: str) -> None:
        super().__init__(key)
        self.key = key
        metrics.LOCK_TIMEOUTS.inc()


_ADVISORY = "SELECT key FROM jsonb_array_elements_text(%s::jsonb) AS key WHERE"
TRY_ADVISORY_LOCKS = f"{_ADVISORY} NOT pg_try_advisory_xact_lock(hashtextextended(key, 0))"
WAIT_FOR_ADVISORY_LOCKS = f"{_ADVISORY} pg_advisory_xact_lock(hashtextextended(key, 0)) IS NULL"


def try_advisory_locks(keys: Sequence[str]) -> Statement:
    """A statement that locks the keys until the end of the transaction and returns those held by other transactions."""
    metrics.LOCK_FALLBACKS.inc()
    return Statement(TRY_ADVISORY_LOCKS, (orjson.dumps(keys),))


@contextmanager
def locked_transaction(*keys: str) -> Iterator[Transaction]:
    """Hold `keys` around one durable transaction on Django's connection, for staff edits that save models.

    The order is: acquire the Redis locks, BEGIN, run the body, insert the rows that it added to tables of the
    transaction, COMMIT, run the `committed` functions, release the locks, run the `released` functions. While Redis is
    unavailable, PostgreSQL advisory locks with the same keys are acquired in sorted order.

    Raises LockTimeout if a lock is not available within `LOCK_WAIT_SECONDS`; nothing was changed then.
    """
    shared = Transaction()
    keys = tuple(sorted(set(keys)))
    with redis_locks.held_in_time(keys) as is_fallback, transaction.atomic(durable=True):
        if is_fallback:
            metrics.LOCK_FALLBACKS.inc()
            sql.execute(WAIT_FOR_ADVISORY_LOCKS, [orjson.dumps(keys).decode()])
        yield shared
        afterwards = shared.keep()
        for statement in shared.writes():
            sql.run(statement)
        for then in shared.committed():
            transaction.on_commit(then, robust=True)
    for then in (*shared.released(), *afterwards):
        call_and_log(then)


def load(shared: Transaction) -> None:
    """Lock and read the rows that the tables of a `locked_transaction` need. Waits for locked rows."""
    for table, statement in shared.reads():
        table.accept(sql.run(statement))


@contextmanager
def single_flight(key: str) -> Iterator[None]:
    """Hold `key` without a transaction, on a best-effort basis: for work that is wasteful, but not wrong, to do twice.

    Raises LockTimeout after `LOCK_WAIT_SECONDS`. While Redis is unavailable, the lock only works within this process.
    """
    deadline = time.monotonic() + settings.LOCK_WAIT_SECONDS
    with _turns.held(key, deadline), redis_locks.held_in_time((key,), deadline):
        yield


class _Turns:
    """A lock per key within this process. It wakes the next request at once; Redis has to be polled."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._lines: dict[str, deque[Signal]] = {}
        """The waiting requests of each key that is locked."""

    @contextmanager
    def held(self, key: str, deadline: float) -> Iterator[None]:
        self._take(key, deadline)
        try:
            yield
        finally:
            with self._guard:
                line = self._lines[key]
                if line:
                    line.popleft().set()
                else:
                    del self._lines[key]

    def _take(self, key: str, deadline: float) -> None:
        with self._guard:
            line = self._lines.get(key)
            if line is None:
                self._lines[key] = deque()
                return
            turn = Signal()
            line.append(turn)
        if turn.wait(max(0.0, deadline - time.monotonic())):
            return
        with self._guard:
            if turn in line:
                line.remove(turn)
                raise KeyTimeout(key)


class Held(NamedTuple):
    """The result of acquiring the locks of several writes."""

    blocked_by: Sequence[str | None]
    """For each write the key that another process holds; None if the write has acquired all of its keys."""
    is_fallback: bool = False
    """Redis is unavailable: the keys have to be locked in PostgreSQL."""


class RedisLocks:
    """Acquires the locks of several writes in one Lua call. Each write gets all of its locks or none, so no deadlock.

    Writes of one call share their locks. Processes take turns: a process that found a key locked is recorded as the
    next one (`{key}:next`), and no other process gets the key before it.
    """

    _ACQUIRE = """
        local token, ttl, process, turn = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
        local first, answers = 1, {}
        for write = 5, #ARGV do
            local last, blocked = first + ARGV[write] - 1, 0
            for position = first, last do
                local holder = redis.call('get', KEYS[position])
                local next_process = not holder and redis.call('get', KEYS[position] .. ':next')
                if holder and holder ~= token or next_process and next_process ~= process then
                    blocked = position
                    redis.call('set', KEYS[position] .. ':next', process, 'px', turn, 'nx')
                    break
                end
            end
            if blocked == 0 then
                for position = first, last do
                    redis.call('set', KEYS[position], token, 'px', ttl)
                    redis.call('del', KEYS[position] .. ':next')
                end
            end
            answers[#answers + 1] = blocked
            first = last + 1
        end
        return answers
    """
    _RELEASE = """
        local released = 0
        for position = 1, #KEYS do
            if redis.call('get', KEYS[position]) == ARGV[1] then
                released = released + redis.call('del', KEYS[position])
            end
        end
        return released
    """
    # Only other processes can hold these locks, and they hold them for a few milliseconds.
    _FIRST_WAIT_SECONDS = 0.001
    _LONGEST_WAIT_SECONDS = 0.02
    _TURN_MS = 500
    """How long a key is reserved for the next process: longer than a group takes on a busy machine."""

    def __init__(self) -> None:
        self._process = secrets.token_hex(8)
        # A command without a reply may have been executed. Its keys are released as soon as Redis replies again;
        # otherwise they would stay locked for a whole TTL.
        self._doubtful: deque[tuple[str, Sequence[str]]] = deque(maxlen=10_000)

    @contextmanager
    def held(self, writes: Sequence[Sequence[str]]) -> Iterator[Held]:
        """Try once to acquire the keys of each write, and hold the acquired ones during the block."""
        token = secrets.token_hex(12)
        held = self._acquire(token, writes)
        if any(held.blocked_by):
            metrics.noted.append((metrics.LOCKS_BUSY.inc, len(writes) - held.blocked_by.count(None)))
        began = time.perf_counter()
        try:
            yield held
        finally:
            metrics.noted.append((metrics.LOCKS_HELD_SECONDS.observe, time.perf_counter() - began))
            if not held.is_fallback:
                had = [keys for keys, blocked_by in zip(writes, held.blocked_by, strict=True) if blocked_by is None]
                self._release(token, list(dict.fromkeys(key for keys in had for key in keys)))

    @contextmanager
    def held_in_time(self, keys: Sequence[str], deadline: float | None = None) -> Iterator[bool]:
        """Wait for `keys` and hold them; yields whether Redis is unavailable. Raises KeyTimeout."""
        until = deadline or time.monotonic() + settings.LOCK_WAIT_SECONDS
        token = secrets.token_hex(12)
        wait = self._FIRST_WAIT_SECONDS
        while (blocked_by := (held := self._acquire(token, [keys])).blocked_by[0]) is not None:
            if time.monotonic() + wait > until:
                raise KeyTimeout(blocked_by)
            sleep(wait * random.uniform(0.5, 1.0))  # noqa: S311  # jitter, no secret
            wait = min(wait * 1.5, self._LONGEST_WAIT_SECONDS)
        try:
            yield held.is_fallback
        finally:
            if not held.is_fallback:
                self._release(token, keys)

    def _acquire(self, token: str, writes: Sequence[Sequence[str]]) -> Held:
        keys = [key for keys in writes for key in keys]
        if not keys:
            return Held([None] * len(writes))
        ttl_ms = int(settings.LOCK_TTL_SECONDS * 1000)
        counts = [len(keys) for keys in writes]
        try:
            self._free_doubtful()
            arguments: list[str | int | bytes] = [token, ttl_ms, self._process, self._TURN_MS, *counts]
            positions = redis_services.locks.run_script(self._ACQUIRE, keys, arguments)
        except redis_services.RedisUnavailable as error:
            if error.__cause__ is not None:
                self._doubtful.append((token, keys))
            return Held([None] * len(writes), is_fallback=True)
        return Held([keys[position - 1] if position else None for position in positions])

    def _release(self, token: str, keys: Sequence[str]) -> None:
        if not keys:
            return
        try:
            released = int(redis_services.locks.run_script(self._RELEASE, keys, [token]))
        except redis_services.RedisUnavailable:
            self._doubtful.append((token, keys))
            return
        if released < len(keys):
            # Not an error: the writes are committed, and row locks and constraints have kept them correct.
            metrics.LOCKS_LOST.inc(len(keys) - released)
            logger.warning("%d of the locks %s were lost before their release", len(keys) - released, keys)

    def _free_doubtful(self) -> None:
        while self._doubtful:
            token, keys = self._doubtful.popleft()
            try:
                redis_services.locks.run_script(self._RELEASE, keys, [token])
            except redis_services.RedisUnavailable:
                self._doubtful.append((token, keys))
                raise


_turns = _Turns()
redis_locks = RedisLocks()
