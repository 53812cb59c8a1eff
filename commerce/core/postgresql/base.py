"""The database engine: Django's own, with a cheap look at a kept connection and one type for integers.

Owns the health check and how integers are sent; never changes what statements say.
"""

import select
from typing import Any

from django.db.backends.postgresql import base
from psycopg.types.numeric import Int8Dumper


class DatabaseWrapper(base.DatabaseWrapper):
    """PostgreSQL over connections that live as long as their thread."""

    def get_new_connection(self, conn_params: Any) -> Any:
        """psycopg sends an integer as the smallest type that holds it, and prepares a statement once per combination
        of types; sent as bigint, whatever their size, each statement is planned once.
        """
        connection = super().get_new_connection(conn_params)
        connection.adapters.register_dumper(int, Int8Dumper)
        return connection

    def is_usable(self) -> bool:
        """Django asks `is_usable` once per request; its own answer is a `SELECT 1`, a round trip on every request.

        An idle PostgreSQL connection has nothing to say. When its socket is readable the server has closed it or is
        about to (restart, terminated backend), so it is replaced before a statement is lost on it.
        """
        if self.connection is None or self.connection.closed:
            return False
        socket = select.poll()
        socket.register(self.connection.fileno(), select.POLLIN)
        return not socket.poll(0)
