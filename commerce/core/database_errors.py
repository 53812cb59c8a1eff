"""What a failed statement means for the request that sent it.

Owns the reading of PostgreSQL's error codes; never decides how a refusal looks on the wire.
"""

from django.db import DatabaseError, InterfaceError, OperationalError

from commerce.core.errors import LockTimeout, ServiceUnavailable, Unavailable
from commerce.core.sql import sqlstate

LOCK_NOT_AVAILABLE = "55P03"
DEADLOCK_DETECTED = "40P01"
SERIALIZATION_FAILURE = "40001"
READ_ONLY = "25006"
"""The server is a standby, or was made read-only. psycopg calls that an internal error as well."""
IDLED_IN_TRANSACTION = "25P03"
"""PostgreSQL has ended a transaction whose process was stopped for longer than it may idle. psycopg calls that an
internal error, not an operational one."""


def unavailable(error: Exception) -> Unavailable | None:
    """The temporary refusal behind a database error, or None where the error is a defect of ours."""
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
