"""Clients of the two Redis services (cache, locks), with a pause after a failure.

Callers decide what to do while Redis is unavailable.
"""

import hashlib
import logging
import os
import time
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any, TypeVar

import hiredis
from django.conf import settings
from django_redis import get_redis_connection
from redis import Redis
from redis.connection import ConnectionPool
from redis.exceptions import NoScriptError, ReadOnlyError, RedisError
from redis.exceptions import TimeoutError as RedisTimeout

from commerce.core import metrics
from commerce.core.waiting import READABLE, in_thread, wait_for

logger = logging.getLogger(__name__)
T = TypeVar("T")


class RedisUnavailable(Exception):
    """Redis did not reply in time, or is not called because of a recent failure."""


class RedisService:
    """One Redis database with a circuit breaker: after a failure it is not called for `REDIS_PAUSE_SECONDS`.

    Without the pause every request would wait for the full timeout while packets are lost.

    `read` and `run_script` are for the hot paths. They use their own connections and bypass redis-py's client, whose
    layers take longer than Redis itself. `call` is for all other commands.
    """

    def __init__(self, alias: str) -> None:
        self.alias = alias
        self._paused_until = 0.0
        self._connections = _Connections(alias)

    def call(self, command: Callable[[Redis], T]) -> T:
        """Run `command` with redis-py's client.

        Raises RedisUnavailable if Redis fails, or is not called because of a recent failure. A command without a reply
        may have been executed. This applies to all methods of this class; none of them retries a command.
        """
        self._respect_pause()
        try:
            return in_thread(lambda: command(self.client))
        except RedisError as error:
            raise self._failed(error) from error

    def read(self, *keys: str) -> list[bytes | None]:
        """The values of `keys` (None for a missing key), in one round trip. Raises RedisUnavailable."""
        values: list[bytes | None] = self._ask(("MGET", *keys))
        return values

    def run_script(self, script: str, keys: Sequence[str], arguments: Sequence[str | int | bytes]) -> Any:
        """Run a Lua script by its digest, so that its text is only sent once per start of the server.

        Raises RedisUnavailable like `call`.
        """
        command = (len(keys), *keys, *arguments)
        try:
            return self._ask(("EVALSHA", _digest(script), *command))
        except NoScriptError:
            return self._ask(("EVAL", script, *command))

    def forget_pause(self) -> None:
        """End the pause, so that the next call reaches Redis. For tests, and after an operator has repaired Redis."""
        self._paused_until = 0.0

    @property
    def client(self) -> Redis:
        client: Redis = get_redis_connection(self.alias)
        return client

    def _ask(self, command: tuple[str | int | bytes, ...]) -> Any:
        """Send one command and return its reply. Raises RedisUnavailable, NoScriptError."""
        self._respect_pause()
        try:
            connection = self._connections.take()
            try:
                packed = hiredis.pack_command(command)  # type: ignore[arg-type]  # its hint is for one part only
                connection.send_packed_command([packed])
                if not wait_for(connection._sock.fileno(), READABLE, connection.socket_timeout):
                    raise RedisTimeout("No answer in time.")  # closes the connection
                answer = connection.read_response()
            except NoScriptError:
                self._connections.give_back(connection)
                raise
            except BaseException:
                # A late reply on this connection would be read as the reply to the next command.
                connection.disconnect()
                raise
        except NoScriptError:
            raise
        except RedisError as error:
            raise self._failed(error) from error
        self._connections.give_back(connection)
        return answer

    def _respect_pause(self) -> None:
        if time.monotonic() < self._paused_until:
            raise RedisUnavailable(self.alias)

    def _failed(self, error: RedisError) -> RedisUnavailable:
        self._paused_until = time.monotonic() + settings.REDIS_PAUSE_SECONDS
        metrics.REDIS_FAILURES.labels(self.alias).inc()
        if "READONLY" in str(error) or isinstance(error, ReadOnlyError):
            # The server has become a replica. All other connections lead to the same server.
            self._connections.drop()
            self.client.connection_pool.disconnect()
        logger.warning(
            "Redis %s does not answer (%s); no calls for %ss", self.alias, error, settings.REDIS_PAUSE_SECONDS
        )
        return RedisUnavailable(self.alias)


class _Connections:
    """Idle connections. Their number is the largest number of threads that have called Redis at the same time.

    Connections are created by django-redis's pool, so address, database, password, TLS and timeouts are those of the
    settings. After a fork, or a change of the settings in a test, a process starts without connections.
    """

    def __init__(self, alias: str) -> None:
        self._alias = alias
        self._idle: list[Any] = []  # redis-py's connections, which are untyped
        self._made_for: tuple[int, object] = (0, None)

    def take(self) -> Any:
        """An open connection. Raises RedisError."""
        if self._made_for != (os.getpid(), settings.CACHES):
            self._idle, self._made_for = [], (os.getpid(), settings.CACHES)
        while self._idle:
            try:
                connection = self._idle.pop()
                if not wait_for(connection._sock.fileno(), READABLE, 0):
                    return connection
                connection.disconnect()
            except IndexError:
                # Another thread has taken the last one.
                break
            except RedisError:
                # Redis has closed the connection, for example because it was restarted.
                continue
        pool: ConnectionPool = get_redis_connection(self._alias).connection_pool
        connection = pool.connection_class(**pool.connection_kwargs)
        in_thread(connection.connect)
        return connection

    def give_back(self, connection: Any) -> None:
        self._idle.append(connection)

    def drop(self) -> None:
        """Close the idle connections."""
        idle, self._idle = self._idle, []
        for connection in idle:
            connection.disconnect()


@lru_cache
def _digest(script: str) -> str:
    """The digest by which Redis identifies a script."""
    return hashlib.sha1(script.encode(), usedforsecurity=False).hexdigest()


cache = RedisService("default")
locks = RedisService("locks")
