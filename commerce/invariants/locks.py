"""What must hold of the locks in Redis at every moment.

Owns the rule and how Redis is asked; never frees a lock.
"""

from django.utils.translation import gettext_noop
from redis import Redis

from commerce.core import redis
from commerce.invariants.rule import Rule, Violation

LOCKS_EXPIRE = Rule("locks_expire", gettext_noop("Every lock in Redis ends by itself, should its owner die."))

_NO_END = -1
"""What Redis says of a key that lives for ever; of one that went meanwhile it says -2."""


def endless_locks(*, examples: int) -> Violation | None:
    """The locks without a time to live, with up to `examples` of them; None where there is none. Raises RedisAway."""
    endless = redis.locks.call(_endless)
    if not endless:
        return None
    return Violation(LOCKS_EXPIRE, len(endless), [f"{key}: no time to live" for key in endless[:examples]])


def _endless(client: Redis) -> list[str]:
    # As many as there are writes under way, whatever the size of the shop.
    keys = sorted(client.scan_iter(match="*:lock", count=1_000))
    pipeline = client.pipeline(transaction=False)
    for key in keys:
        pipeline.pttl(key)
    return [key.decode() for key, left_ms in zip(keys, pipeline.execute(), strict=True) if left_ms == _NO_END]
