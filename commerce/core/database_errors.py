"""Translates PostgreSQL's error codes into refusals. Does not render responses."""

from django.db import DatabaseError, InterfaceError, OperationalError

from commerce.core.errors import LockTimeout, ServiceUnavailable, Unavailable
from commerce.core.sql import sqlstate

LOCK_NOT_AVAILABLE = "55P03"
DEADLOCK_DETECTED = "40P01"
SERIALIZATION_FAILURE = "40001"
READ_ONLY = "25006"
"""The server is a standby or read-only. psycopg raises an InternalError for it."""
IDLED_IN_TRANSACTION = "25P03"
"""PostgreSQL ended a transaction that was idle for too long, such as one of a paused process. psycopg raises an
InternalError for it, not an OperationalError."""


def unavailable(error: Exception) -> Unavailable | None:
    """The temporary refusal for a database error, or None if the error is a bug in our code."""
    if not isinstance(error, DatabaseError | InterfaceError):
        return None
    if isinstance(error, DatabaseError) and sqlstate(error) in (
        LOCK_NOT_AVAILABLE,
        DEADLOCK_DETECTED,
        SERIALIZATION_FAILURE,
    ):
        return LockTimeout()
    if isinstance(error, OperationalError | InterfaceError) or sqlstate(error) in (IDLED_IN_TRANSACTION, READ_ONLY):
        return ServiceUnavailable()
    return None
