"""The two Redis servers (cache, locks) and the pause after a failure.

Owns how Redis is reached and what its absence costs; never decides what to do without it.
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


class RedisAway(Exception):
    """Redis did not answer in time, or is being left alone after such a failure."""


class RedisService:
    """One Redis database behind a pause: after a failure it is not asked again for `REDIS_PAUSE_SECONDS`.

    Without the pause an outage that swallows packets would cost every single request its full time-out.

    `read` and `run_script` are for the hot paths: they use connections of their own, without the layers of redis-py's
    client, which take longer than Redis itself. `call` is for every other command.
    """

    def __init__(self, alias: str) -> None:
        self.alias = alias
        self._paused_until = 0.0
        self._connections = _Connections(alias)

    def call(self, command: Callable[[Redis], T]) -> T:
        """Run `command` with redis-py's client.

        Raises RedisAway when Redis fails or is being left alone. The command may still have happened: an answer that
        never came is not a no. That holds for all methods here; none of them tries a command twice.
        """
        self._respect_pause()
        try:
            return in_thread(lambda: command(self.client))
        except RedisError as error:
            raise self._failed(error) from error

    def read(self, *keys: str) -> list[bytes | None]:
        """The values of `keys`, None where there is none, in one round trip. Raises RedisAway."""
        values: list[bytes | None] = self._ask(("MGET", *keys))
        return values

    def run_script(self, script: str, keys: Sequence[str], arguments: Sequence[str | int | bytes]) -> Any:
        """Run a Lua script by its digest, so that its text crosses the wire once per server start.

        Raises RedisAway like `call`.
        """
        command = (len(keys), *keys, *arguments)
        try:
            return self._ask(("EVALSHA", _digest(script), *command))
        except NoScriptError:
            return self._ask(("EVAL", script, *command))

    def forget_pause(self) -> None:
        """Ask Redis again at once: for tests and after an operator mended it."""
        self._paused_until = 0.0

    @property
    def client(self) -> Redis:
        client: Redis = get_redis_connection(self.alias)
        return client

    def _ask(self, command: tuple[str | int | bytes, ...]) -> Any:
        """Send one command and return its answer. Raises RedisAway, NoScriptError."""
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
                # What is still to come on it would be taken for the answer to the next command.
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
            raise RedisAway(self.alias)

    def _failed(self, error: RedisError) -> RedisAway:
        self._paused_until = time.monotonic() + settings.REDIS_PAUSE_SECONDS
        metrics.REDIS_FAILURES.labels(self.alias).inc()
        if "READONLY" in str(error) or isinstance(error, ReadOnlyError):
            # The server is a replica now. Every other connection leads to it too.
            self._connections.drop()
            self.client.connection_pool.disconnect()
        logger.warning(
            "Redis %s does not answer (%s); doing without for %ss", self.alias, error, settings.REDIS_PAUSE_SECONDS
        )
        return RedisAway(self.alias)


class _Connections:
    """Connections that are not in use. There are as many as threads have asked at one time.

    Each is made as django-redis's pool makes its own, so that address, database, password, TLS and time limits are
    those of the settings. A process that was forked, and one whose settings changed (a test's), starts without any.
    """

    def __init__(self, alias: str) -> None:
        self._alias = alias
        self._idle: list[Any] = []  # redis-py's connections, which are untyped
        self._made_for: tuple[int, object] = (0, None)

    def take(self) -> Any:
        """A connection that is open. Raises RedisError."""
        if self._made_for != (os.getpid(), settings.CACHES):
            self._idle, self._made_for = [], (os.getpid(), settings.CACHES)
        while self._idle:
            try:
                connection = self._idle.pop()
                if not wait_for(connection._sock.fileno(), READABLE, 0):
                    return connection
                connection.disconnect()
            except IndexError:
                # Another thread was faster.
                break
            except RedisError:
                # Redis has closed it, as it does with all of them when it is restarted.
                continue
        pool: ConnectionPool = get_redis_connection(self._alias).connection_pool
        connection = pool.connection_class(**pool.connection_kwargs)
        in_thread(connection.connect)
        return connection

    def give_back(self, connection: Any) -> None:
        self._idle.append(connection)

    def drop(self) -> None:
        """Close those that are not in use."""
        idle, self._idle = self._idle, []
        for connection in idle:
            connection.disconnect()


@lru_cache
def _digest(script: str) -> str:
    """By which name Redis knows a script."""
    return hashlib.sha1(script.encode(), usedforsecurity=False).hexdigest()


cache = RedisService("default")
locks = RedisService("locks")
