"""The refusals for failed statements, by PostgreSQL's error codes."""

import pytest
from django.db import DatabaseError

from commerce.core import sql
from commerce.core.database_errors import unavailable
from commerce.core.errors import LockTimeout, ServiceUnavailable, Unavailable

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.mark.parametrize(
    ("code", "refusal"),
    [
        ("disk_full", ServiceUnavailable),
        ("out_of_memory", ServiceUnavailable),
        ("too_many_connections", ServiceUnavailable),
        ("io_error", ServiceUnavailable),
        ("query_canceled", ServiceUnavailable),
        ("admin_shutdown", ServiceUnavailable),
        ("cannot_connect_now", ServiceUnavailable),
        ("read_only_sql_transaction", ServiceUnavailable),
        ("lock_not_available", LockTimeout),
        ("deadlock_detected", LockTimeout),
        ("serialization_failure", LockTimeout),
        ("check_violation", None),
        ("undefined_column", None),
        ("data_corrupted", None),
    ],
)
def test_a_server_error_is_unavailable_and_a_wrong_statement_is_a_defect(
    code: str, refusal: type[Unavailable] | None
) -> None:
    with pytest.raises(DatabaseError) as failure:
        sql.execute(f"DO $$ BEGIN RAISE EXCEPTION USING ERRCODE = '{code}'; END $$")
    assert type(unavailable(failure.value)) is (refusal or type(None))
