"""Checks the version and the timeouts of the PostgreSQL server."""

from collections.abc import Mapping
from typing import Any

from django.conf import settings
from django.db import NotSupportedError

OLDEST_VERSION = 150000
"""In the format of `server_version_num`."""

LIMITS: Mapping[str, str] = {
    "lock_timeout": "DATABASE_LOCK_TIMEOUT_MS",
    "statement_timeout": "DATABASE_STATEMENT_TIMEOUT_MS",
    "idle_in_transaction_session_timeout": "DATABASE_IDLE_TIMEOUT_MS",
}
"""PostgreSQL's parameters in milliseconds, and the setting that each must be equal to."""

_PARAMETERS = """
    SELECT current_setting('server_version_num')::integer,
           (SELECT json_object_agg(name, setting::integer) FROM pg_settings WHERE name = ANY(%s))
"""


class ServerUnsuitable(NotSupportedError):
    """The server is too old, or its timeouts differ from the settings."""


def require_suitable(connection: Any) -> None:
    """Raise ServerUnsuitable if needed. `connection` is a connection of psycopg."""
    version, limits = connection.execute(_PARAMETERS, [list(LIMITS)]).fetchone()
    if version < OLDEST_VERSION:
        raise ServerUnsuitable(f"PostgreSQL {OLDEST_VERSION // 10_000} or newer is needed, not {version // 10_000}.")
    for parameter, setting in LIMITS.items():
        expected = getattr(settings, setting)
        if limits[parameter] != expected:
            raise ServerUnsuitable(
                f"{parameter} is {limits[parameter]} ms on this connection, but {setting} is {expected}. A connection "
                "pooler drops `options`: with one, set DATABASE_POOLED=true, and on the server "
                f'ALTER ROLE "{connection.info.user}" SET {parameter} = {expected}.'
            )
