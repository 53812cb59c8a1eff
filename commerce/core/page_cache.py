"""Rendered pages in Redis: bytes that go out as they are.

Owns freshness (`generation`) and the stampede guard; never decides what a page shows, nor how it is sent.
"""

import hashlib
import logging
import uuid
from collections.abc import Callable
from dataclasses import dataclass

from commerce.core import metrics
from commerce.core.errors import LockTimeout
from commerce.core.locks import page_lock, single_flight
from commerce.core.redis import RedisAway, cache

logger = logging.getLogger(__name__)

_GENERATION_LENGTH = 32


@dataclass(frozen=True)
class PageCache:
    """The cached pages of one kind, such as the product list with all its filters.

    A page is stored under the generation that was current when it was asked for. `renew` starts the next generation,
    so pages rendered from older data, even by a request that is still running, are never served again.
    """

    name: str

    def body(self, *, variant: str, ttl_seconds: int, render: Callable[[], bytes]) -> bytes:
        """The page, rendered at most once per `ttl_seconds` however many ask at once.

        `variant` names the page among its kind. With `ttl_seconds` 0 or Redis away it is rendered every time.
        """
        if ttl_seconds <= 0:
            return render()
        try:
            known, _ = self._stored(variant)
            if known is not None:
                metrics.CACHE_LOOKUPS.labels(self.name, "hit").inc()
                return known
            with single_flight(page_lock(self._key(variant))):
                return self._fill(variant, ttl_seconds, render)
        except (RedisAway, LockTimeout) as reason:
            logger.info("Page %s is rendered past the cache: %s", self.name, type(reason).__name__)
            metrics.CACHE_LOOKUPS.labels(self.name, "bypass").inc()
            return render()

    def renew(self) -> None:
        """Make every stored page stale. Raises RedisAway when Redis cannot be told; pages then live out their time."""
        generation = uuid.uuid4().hex
        cache.call(lambda client: client.set(self._generation_key, generation))

    @property
    def _generation_key(self) -> str:
        return f"page:{self.name}:generation"

    def _key(self, variant: str) -> str:
        return f"page:{self.name}:{hashlib.blake2b(variant.encode(), digest_size=16).hexdigest()}"

    def _fill(self, variant: str, ttl_seconds: int, render: Callable[[], bytes]) -> bytes:
        known, generation = self._stored(variant)
        if known is not None:
            metrics.CACHE_LOOKUPS.labels(self.name, "waited").inc()
            return known
        metrics.CACHE_LOOKUPS.labels(self.name, "miss").inc()
        rendered = render()
        cache.call(lambda client: client.set(self._key(variant), generation + rendered, ex=ttl_seconds))
        return rendered

    def _stored(self, variant: str) -> tuple[bytes | None, bytes]:
        generation, page = cache.read(self._generation_key, self._key(variant))
        current = (generation or b"").ljust(_GENERATION_LENGTH)
        if page is None or page[:_GENERATION_LENGTH] != current:
            return None, current
        return page[_GENERATION_LENGTH:], current
