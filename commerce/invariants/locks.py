"""The invariant of the locks in Redis: every lock has an expiry. Does not release locks."""

from django.utils.translation import gettext_noop
from redis import Redis

from commerce.core import redis_services
from commerce.invariants.rule import Rule, Violation

LOCKS_EXPIRE = Rule("locks_expire", gettext_noop("Every lock in Redis ends by itself, should its owner die."))

_NO_END = -1
"""Redis's reply for a key without an expiry. For a key that has been deleted meanwhile it is -2."""


def endless_locks(*, examples: int) -> Violation | None:
    """The locks without an expiry, with up to `examples` of them, or None. Raises RedisUnavailable."""
    endless = redis_services.locks.call(_endless)
    if not endless:
        return None
    return Violation(LOCKS_EXPIRE, len(endless), [f"{key}: no time to live" for key in endless[:examples]])


def _endless(client: Redis) -> list[str]:
    # One key per lock of a running write, so the number does not depend on the size of the shop.
    keys = sorted(client.scan_iter(match="*:lock", count=1_000))
    pipeline = client.pipeline(transaction=False)
    for key in keys:
        pipeline.pttl(key)
    return [key.decode() for key, left_ms in zip(keys, pipeline.execute(), strict=True) if left_ms == _NO_END]
