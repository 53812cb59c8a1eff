"""The two Redis clients (cache, locks) and the pause after a failure.

Owns how Redis is reached and what its absence costs; never decides what to do without it.
"""

import logging
import time
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from django.conf import settings
from django_redis import get_redis_connection
from redis import Redis
from redis.commands.core import Script
from redis.exceptions import RedisError

from commerce.core import metrics

logger = logging.getLogger(__name__)
T = TypeVar("T")


class RedisAway(Exception):
    """Redis did not answer in time, or is being left alone after such a failure."""


class RedisService:
    """One Redis database behind a pause: after a failure it is not asked again for `REDIS_PAUSE_SECONDS`.

    Without the pause an outage that swallows packets would cost every single request its full time-out.
    """

    def __init__(self, alias: str) -> None:
        self.alias = alias
        self._paused_until = 0.0
        self._scripts: dict[str, Script] = {}

    def call(self, command: Callable[[Redis], T]) -> T:
        """Run `command` with the client.

        Raises RedisAway when Redis fails or is being left alone. The command may still have happened: an answer that
        never came is not a no.
        """
        if time.monotonic() < self._paused_until:
            raise RedisAway(self.alias)
        try:
            return command(self.client)
        except RedisError as error:
            self._paused_until = time.monotonic() + settings.REDIS_PAUSE_SECONDS
            metrics.REDIS_FAILURES.labels(self.alias).inc()
            logger.warning(
                "Redis %s does not answer (%s); doing without for %ss",
                self.alias,
                error,
                settings.REDIS_PAUSE_SECONDS,
            )
            raise RedisAway(self.alias) from error

    def read(self, *keys: str) -> list[bytes | None]:
        """The values of `keys`, None where there is none, in one round trip. Raises RedisAway."""
        values: Any = self.call(lambda client: client.mget(keys))
        return list(values)

    def run_script(self, script: str, keys: Sequence[str], arguments: Sequence[str | int | bytes]) -> Any:
        """Run a Lua script by its digest, so that its text crosses the wire once per server start.

        Raises RedisAway like `call`.
        """
        return self.call(lambda client: self._script(client, script)(keys=keys, args=arguments, client=client))

    def _script(self, client: Redis, script: str) -> Script:
        if script not in self._scripts:
            self._scripts[script] = client.register_script(script)
        return self._scripts[script]

    def forget_pause(self) -> None:
        """Ask Redis again at once: for tests and after an operator mended it."""
        self._paused_until = 0.0

    @property
    def client(self) -> Redis:
        client: Redis = get_redis_connection(self.alias)
        return client


cache = RedisService("default")
locks = RedisService("locks")
