"""A cache of rendered pages in Redis. Pages are bytes that are sent unchanged.

Contains the invalidation (`generation`) and the protection against cache stampedes.
"""

import hashlib
import logging
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from time import monotonic

from django.conf import settings
from redis import Redis

from commerce.core import metrics, replica
from commerce.core.errors import LockTimeout
from commerce.core.locks import page_lock, single_flight
from commerce.core.redis_services import RedisUnavailable, cache
from commerce.core.waiting import sleep

logger = logging.getLogger(__name__)

LEASE_SECONDS = 0.01
"""How long a process may treat a generation as current without asking Redis again."""
_GENERATION_LENGTH = 32
_TIMED = b"t"
"""Prefix of a generation that contains its start: milliseconds of Redis's clock, in thirteen digits. Other generations
do not have this prefix. Only needed with a replica."""


@dataclass(frozen=True, slots=True)
class Page:
    """A rendered page and the generation under which it is stored; None if it is not stored."""

    body: bytes
    generation: bytes | None = None


class PageCache:
    """The cached pages of one kind, such as the product list with all its filters.

    A page is stored under the generation that was current when it was requested. `renew` starts the next generation, so
    pages rendered from older data, even by a request that is still running, are never served again.

    This also applies to pages in the memory of other processes. A process serves such a page only while it has a lease
    for the page's generation. A lease ends `LEASE_SECONDS` after the process asked Redis for it. `renew` returns after
    all leases of the previous generation have ended. Once an edit has succeeded, every list shows it.
    """

    def __init__(self, name: str, *, shows_edits: bool = True) -> None:
        """`shows_edits`: edits must be visible at once, so for a while after one, pages are read from the primary."""
        self.name = name
        self._shows_edits = shows_edits
        self.hits = metrics.CACHE_LOOKUPS.labels(name, "hit")
        self._leased: tuple[bytes, float] = (b"", 0.0)

    def page(self, *, variant: str, ttl_seconds: int, render: Callable[[], bytes]) -> Page:
        """The page, rendered at most once per `ttl_seconds` regardless of the number of concurrent requests.

        `variant` identifies the page within its kind. If `ttl_seconds` is 0 or Redis is unavailable, the page is
        rendered every time.
        """
        if ttl_seconds <= 0:
            return Page(render())
        try:
            known, generation = self._stored(variant)
            if known is not None:
                self.hits.inc()
                return Page(known, generation)
            with single_flight(page_lock(self._key(variant))):
                return self._fill(variant, ttl_seconds, render)
        except (RedisUnavailable, LockTimeout) as reason:
            logger.info("Page %s is rendered without the cache: %s", self.name, type(reason).__name__)
            metrics.CACHE_LOOKUPS.labels(self.name, "bypass").inc()
            return Page(render())

    def generation(self) -> bytes:
        """The current generation. Each process asks Redis once per lease. Raises RedisUnavailable."""
        generation, until = self._leased
        if monotonic() < until:
            return generation
        # The lease begins before the call to Redis, so that it also ends in time if a change happens during the call.
        began = monotonic()
        [known] = cache.read(self._generation_key)
        generation = _of_full_length(known)
        self._leased = generation, began + LEASE_SECONDS
        return generation

    def renew(self) -> None:
        """Invalidate every stored page. When this returns, no process serves them any more.

        Raises RedisUnavailable if Redis cannot be reached; pages then remain until they expire.
        """
        cache.call(lambda client: client.set(self._generation_key, _new_generation(client)))
        sleep(LEASE_SECONDS)

    def forget_lease(self) -> None:
        """Ask Redis again at the next request. For tests, which flush Redis."""
        self._leased = (b"", 0.0)

    @property
    def _generation_key(self) -> str:
        return f"page:{self.name}:generation"

    def _key(self, variant: str) -> str:
        return f"page:{self.name}:{hashlib.blake2b(variant.encode(), digest_size=16).hexdigest()}"

    def _fill(self, variant: str, ttl_seconds: int, render: Callable[[], bytes]) -> Page:
        known, generation = self._stored(variant)
        if known is not None:
            metrics.CACHE_LOOKUPS.labels(self.name, "waited").inc()
            return Page(known, generation)
        metrics.CACHE_LOOKUPS.labels(self.name, "miss").inc()
        rendered = replica.read(render) if self._may_be_old(generation) else render()
        cache.call(lambda client: client.set(self._key(variant), generation + rendered, ex=ttl_seconds))
        return Page(rendered, generation)

    def _may_be_old(self, generation: bytes) -> bool:
        """Whether a replica with the largest allowed lag has every edit of this generation. Raises RedisUnavailable."""
        if not settings.DATABASE_REPLICA_URL:
            return False
        if not self._shows_edits:
            return True
        if not generation.startswith(_TIMED):
            # Redis has lost the generation, or it was made without a replica. The time of the last edit is unknown.
            cache.call(lambda client: client.set(self._generation_key, _new_generation(client)))
            return False
        began_ms = int(generation[1:14])
        longest_ms: float = 1_000 * (settings.DATABASE_REPLICA_SECONDS + 1)
        return cache.call(_now_ms) > began_ms + longest_ms

    def _stored(self, variant: str) -> tuple[bytes | None, bytes]:
        generation, page = cache.read(self._generation_key, self._key(variant))
        current = _of_full_length(generation)
        if page is None or page[:_GENERATION_LENGTH] != current:
            return None, current
        return page[_GENERATION_LENGTH:], current


def _new_generation(client: Redis) -> str:
    if not settings.DATABASE_REPLICA_URL:
        return uuid.uuid4().hex
    return f"{_TIMED.decode()}{_now_ms(client):013d}{uuid.uuid4().hex}"[:_GENERATION_LENGTH]


def _now_ms(client: Redis) -> int:
    """By Redis's own clock, which all processes share."""
    seconds, microseconds = client.time()
    return int(1_000 * seconds + microseconds // 1_000)


def _of_full_length(generation: bytes | None) -> bytes:
    return (generation or b"").ljust(_GENERATION_LENGTH)
