"""A PostgreSQL connection whose statements are sent together, so that a transaction takes two round trips.

Uses `psycopg.pq`, psycopg's documented wrapper of libpq. A statement takes one or two Python calls there, and about
fifty on a cursor. The statements are defined in the apps.
"""

import time
from collections.abc import Iterable
from functools import cache, partial
from itertools import count
from typing import Any, NamedTuple

import psycopg
from django.conf import settings
from django.db import DEFAULT_DB_ALIAS, connections
from psycopg import pq
from psycopg.adapt import Transformer
from psycopg.errors import error_from_result

from commerce.core.waiting import READABLE, WRITABLE, in_thread, wait_for

Rows = list[tuple[Any, ...]]

APPLICATION_NAME = "commerce-writes"
"""`application_name` of the connections for group commits, as PostgreSQL lists them."""

# All statements here look up a few rows by key. The planner cannot estimate how few: it assumes a hundred rows for the
# JSON of a group, and would scan small tables completely, including the dead rows that frequent updates leave there.
_BY_INDEX = " -c enable_seqscan=off -c enable_hashjoin=off -c enable_mergejoin=off"
# By default PostgreSQL plans some statements again on each call, for the exact number of rows. The plan stays the same.
_PLANNED_ONCE = " -c plan_cache_mode=force_generic_plan"
# As `_BY_INDEX`, for one transaction: a pooler does not pass connection options to the server.
_BY_INDEX_IN_TRANSACTION = (
    b"SELECT set_config('enable_seqscan', 'off', true), set_config('enable_hashjoin', 'off', true),"
    b" set_config('enable_mergejoin', 'off', true)"
)

_FAILED = (pq.ExecStatus.FATAL_ERROR, pq.ExecStatus.PIPELINE_ABORTED, pq.ExecStatus.BAD_RESPONSE)


class Statement(NamedTuple):
    """SQL with `%s` for each parameter. Parameters are text as PostgreSQL reads it, such as `{1,2}` for an array."""

    sql: str
    parameters: tuple[bytes, ...] = ()


BEGIN = Statement("BEGIN")
COMMIT = Statement("COMMIT")


class NoAnswer(psycopg.OperationalError):
    """The connection was lost or the server did not answer in time. The statements may have been executed."""


class Pipeline:
    """One connection, used by one group at a time. Each statement is planned once per connection, or, behind a
    transaction pooler (`DATABASE_POOLED`), each time that it is sent.
    """

    def __init__(self, application_name: str = APPLICATION_NAME) -> None:
        """Connect. Raises psycopg.OperationalError."""
        django_connection = connections.create_connection(DEFAULT_DB_ALIAS)
        parameters = django_connection.get_connection_params()
        parameters.update(autocommit=True, application_name=application_name)
        self._is_pooled = settings.DATABASE_POOLED
        if not self._is_pooled:
            parameters["options"] = parameters.get("options", "") + _BY_INDEX + _PLANNED_ONCE
        self._connection: psycopg.Connection = in_thread(partial(django_connection.get_new_connection, parameters))
        self._libpq = self._connection.pgconn
        self._libpq.enter_pipeline_mode()
        self._encoding = self._connection.info.encoding
        self._rows_of = Transformer(self._connection)
        self._names: dict[str, bytes] = {}
        self._numbers = count(1)
        self.answered = 0
        """Number of statements of the last `run` that PostgreSQL has answered."""

    def run(self, statements: Iterable[Statement], *, deadline: float) -> list[Rows]:
        """Send all statements in one round trip and return the rows of each.

        Args:
            deadline: as `time.monotonic()`.

        Raises:
            psycopg.Error: the first statement that failed. PostgreSQL undoes the transaction.
            NoAnswer: no answer by `deadline`. If COMMIT was sent, the outcome of the transaction is unknown.

        After an error the connection is closed.
        """
        self.answered = 0
        rows: list[Rows] = []
        try:
            results = [self._send(statement) for statement in statements]
            # The server then counts the time between two round trips as idle in transaction, which has a timeout.
            self._libpq.pipeline_sync()
            self._flush(deadline)
            for expected in results:
                rows.append(self._rows(self._receive(expected, deadline)))
                self.answered += 1
            self._receive(1, deadline)
        except BaseException:
            self.close()
            raise
        return rows

    @property
    def is_usable(self) -> bool:
        """Whether statements can be sent. An idle connection is only readable if the server has closed it."""
        return not self._connection.closed and not wait_for(self._libpq.socket, READABLE, 0)

    def close(self) -> None:
        self._connection.close()

    def _send(self, statement: Statement) -> int:
        """Queue one statement and return how many results it will have."""
        if self._is_pooled:
            return self._send_unnamed(statement)
        name = self._names.get(statement.sql)
        if name is not None:
            self._libpq.send_query_prepared(name, statement.parameters)
            return 1
        name = self._names[statement.sql] = b"s%d" % next(self._numbers)
        self._libpq.send_prepare(name, _numbered(statement.sql))
        self._libpq.send_query_prepared(name, statement.parameters)
        return 2

    def _send_unnamed(self, statement: Statement) -> int:
        """Queue an unnamed statement. Behind a pooler the next transaction may use another session."""
        self._libpq.send_query_params(_numbered(statement.sql), statement.parameters)
        if statement is not BEGIN:
            return 1
        self._libpq.send_query_params(_BY_INDEX_IN_TRANSACTION, ())
        return 2

    def _flush(self, deadline: float) -> None:
        while self._libpq.flush():
            # The server may stop reading until we have read its results.
            self._wait(READABLE | WRITABLE, deadline)
            self._libpq.consume_input()

    def _receive(self, results: int, deadline: float) -> pq.abc.PGresult:
        """The last of a statement's results. Raises psycopg.Error."""
        while True:
            while self._libpq.is_busy():
                self._wait(READABLE, deadline)
                self._libpq.consume_input()
            received: pq.abc.PGresult | None = self._libpq.get_result()
            if received is None:
                # NULL separates the results of two statements.
                continue
            if received.status in _FAILED:
                raise error_from_result(received, self._encoding)
            results -= 1
            if not results:
                return received

    def _wait(self, events: int, deadline: float) -> None:
        left = deadline - time.monotonic()
        if left <= 0 or not wait_for(self._libpq.socket, events, left):
            raise NoAnswer("PostgreSQL did not answer in time.")

    def _rows(self, result: pq.abc.PGresult) -> Rows:
        if not result.nfields:
            return []
        self._rows_of.set_pgresult(result)
        return self._rows_of.load_rows(0, result.ntuples, tuple)


@cache
def _numbered(sql: str) -> bytes:
    """The statement with its parameters as PostgreSQL writes them: `$1`, `$2`."""
    parts = sql.split("%s")
    return (parts[0] + "".join(f"${number}{part}" for number, part in enumerate(parts[1:], 1))).encode()
