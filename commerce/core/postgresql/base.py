"""The database engine: Django's own, but a kept connection is checked by looking at its socket.

Owns the health check; never changes how statements are run.
"""

import select

from django.db.backends.postgresql import base


class DatabaseWrapper(base.DatabaseWrapper):
    """Django asks `is_usable` once per request; its own answer is a `SELECT 1`, a round trip on every request.

    An idle PostgreSQL connection has nothing to say. When its socket is readable the server has closed it or is
    about to (restart, terminated backend), so it is replaced before a statement is lost on it.
    """

    def is_usable(self) -> bool:
        if self.connection is None or self.connection.closed:
            return False
        socket = select.poll()
        socket.register(self.connection.fileno(), select.POLLIN)
        return not socket.poll(0)
