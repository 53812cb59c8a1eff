"""The shop's locks: their names, and `locked_transaction`, the only way into a write.

Owns who waits for whom and for how long. Never the last line of defence: the database's constraints and conditional
updates hold with every lock here expired, lost, evicted or switched off.
"""

import logging
import random
import secrets
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from django.conf import settings
from django.db import transaction

from commerce.core import metrics, redis, sql
from commerce.core.errors import LockTimeout
from commerce.core.transaction import Transaction

logger = logging.getLogger(__name__)

# The closed list of what can be locked. The names are part of the documented flows: operators see them in redis-cli.


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


@contextmanager
def locked_transaction(*keys: str, before_waiting: Callable[[], object] | None = None) -> Iterator[Transaction]:
    """Hold `keys` around one durable database transaction.

    In this order: a turn within the process, the Redis locks (all or none, in one call), BEGIN, the body, the
    appended rows, COMMIT, the `committed` moment, the locks released, the `released` moment. With Redis away the same
    keys become PostgreSQL advisory locks that end with the transaction.

    `before_waiting` runs once, outside of the transaction, where a lock is not free: what it raises ends the write.
    In a rush most of those who queue would only be told that there is nothing left.

    Raises LockTimeout when a lock cannot be had within `LOCK_WAIT_SECONDS`; nothing was changed then.
    """
    keys = tuple(sorted(set(keys), key=_order))
    patience = _Patience(before_waiting)
    unit = Transaction()
    with (
        _turns.held(keys, patience),
        _redis_locks.held(keys, patience) as locked,
        transaction.atomic(durable=True),
    ):
        if not locked:
            _lock_in_database(keys)
        yield unit
        unit.write_appended()
    unit.run_released()


@contextmanager
def single_flight(key: str) -> Iterator[None]:
    """Hold `key` without a transaction, as well as it can be had: for work that is wasteful, not wrong, to do twice.

    Raises LockTimeout after `LOCK_WAIT_SECONDS`; with Redis away only this process takes turns.
    """
    patience = _Patience()
    with _turns.held((key,), patience), _redis_locks.held((key,), patience):
        yield


def _order(key: str) -> tuple[bool, str]:
    # One order for everyone, so that nobody waits in a circle. Requests come first: the twin of a running request then
    # waits for that request by name, and can be told so, instead of for whatever the running one holds.
    return not key.startswith("request:"), key


class KeyTimeout(LockTimeout):
    """A LockTimeout that knows which key could not be had."""

    def __init__(self, key: str) -> None:
        super().__init__(key)
        self.key = key
        metrics.LOCK_TIMEOUTS.inc()


def _lock_in_database(keys: Sequence[str]) -> None:
    # unnest keeps the sorted order, so two carts that share products cannot wait for each other in a circle.
    metrics.LOCK_FALLBACKS.inc()
    sql.execute("SELECT pg_advisory_xact_lock(hashtextextended(key, 0)) FROM unnest(%s::text[]) AS key", [list(keys)])


class _Patience:
    """How long a write waits for its locks altogether, and what it looks at before it does."""

    def __init__(self, before_waiting: Callable[[], object] | None = None) -> None:
        self._deadline: float = time.monotonic() + settings.LOCK_WAIT_SECONDS
        self._before_waiting = before_waiting

    def seconds_left(self) -> float:
        return max(0.0, self._deadline - time.monotonic())

    def about_to_wait(self) -> None:
        """Raises what speaks against waiting."""
        look, self._before_waiting = self._before_waiting, None
        if look is not None:
            look()


class _Turns:
    """One thread per key at a time within this process.

    Redis then sees one contender per process and key, and a thread that waits here is woken at once, where a wait on
    Redis ends at the next poll.
    """

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._waiting: dict[str, tuple[threading.Lock, int]] = {}

    @contextmanager
    def held(self, keys: Sequence[str], patience: _Patience) -> Iterator[None]:
        with ExitStack() as stack:
            for key in keys:
                stack.enter_context(self._one(key, patience))
            yield

    @contextmanager
    def _one(self, key: str, patience: _Patience) -> Iterator[None]:
        with self._guard:
            lock, interested = self._waiting.get(key, (threading.Lock(), 0))
            self._waiting[key] = (lock, interested + 1)
        try:
            if not lock.acquire(blocking=False):
                patience.about_to_wait()
                if not lock.acquire(timeout=patience.seconds_left()):
                    raise KeyTimeout(key)
            try:
                yield
            finally:
                lock.release()
        finally:
            with self._guard:
                lock, interested = self._waiting[key]
                if interested == 1:
                    del self._waiting[key]
                else:
                    self._waiting[key] = (lock, interested - 1)


@dataclass(frozen=True)
class _Held:
    keys: Sequence[str]
    token: str


class _RedisLocks:
    """All keys of one write in one Lua call: taken together or not at all, so no partial hold and no deadlock."""

    _ACQUIRE = """
        for position = 1, #KEYS do
            if redis.call('exists', KEYS[position]) == 1 then return position end
        end
        for position = 1, #KEYS do
            redis.call('set', KEYS[position], ARGV[1], 'px', ARGV[2])
        end
        return 0
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
    # Only another process can be in the way here, and it holds its lock for a few milliseconds.
    _FIRST_WAIT_SECONDS = 0.001
    _LONGEST_WAIT_SECONDS = 0.02

    def __init__(self) -> None:
        # A command without an answer may have happened: its keys are freed as soon as Redis answers again, or they
        # would block their users for a whole TTL.
        self._doubtful: deque[_Held] = deque(maxlen=10_000)

    @contextmanager
    def held(self, keys: Sequence[str], patience: _Patience) -> Iterator[bool]:
        """Yields whether Redis holds the keys; False asks the caller to lock elsewhere."""
        if not keys:
            yield True
            return
        held = _Held(keys, secrets.token_hex(12))
        locked = self._acquire(held, patience)
        try:
            yield locked
        finally:
            if locked:
                self._release(held)

    def _acquire(self, held: _Held, patience: _Patience) -> bool:
        wait = self._FIRST_WAIT_SECONDS
        ttl_ms = int(settings.LOCK_TTL_SECONDS * 1000)
        try:
            self._free_doubtful()
            while blocked_at := self._run(self._ACQUIRE, held, ttl_ms):
                patience.about_to_wait()
                if wait > patience.seconds_left():
                    raise KeyTimeout(held.keys[blocked_at - 1])
                time.sleep(wait * random.uniform(0.5, 1.0))  # noqa: S311  # jitter, no secret
                wait = min(wait * 1.5, self._LONGEST_WAIT_SECONDS)
        except redis.RedisAway as away:
            if away.__cause__ is not None:
                self._doubtful.append(held)
            return False
        return True

    def _release(self, held: _Held) -> None:
        try:
            released = self._run(self._RELEASE, held)
        except redis.RedisAway:
            self._doubtful.append(held)
            return
        if released < len(held.keys):
            # The write is committed by now, and the database judged it: worth knowing, not worth failing.
            metrics.LOCKS_LOST.inc(len(held.keys) - released)
            logger.warning("%d of the locks %s were gone before their release", len(held.keys) - released, held.keys)

    def _free_doubtful(self) -> None:
        while self._doubtful:
            held = self._doubtful.popleft()
            try:
                self._run(self._RELEASE, held)
            except redis.RedisAway:
                self._doubtful.append(held)
                raise

    @staticmethod
    def _run(script: str, held: _Held, *arguments: int) -> int:
        return int(redis.locks.run_script(script, held.keys, [held.token, *arguments]))


_turns = _Turns()
_redis_locks = _RedisLocks()
