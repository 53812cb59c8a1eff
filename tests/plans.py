"""Query plans as for large tables, requested for small ones.

A plan that could use an index, but does not because the table is small, is forced to use it.
"""

from collections.abc import Sequence
from typing import Any

from django.db import transaction

from commerce.core import sql

# If autovacuum has seen a table with hardly a row, reading it in any order costs nothing, so that any index is chosen.
# Without statistics PostgreSQL assumes ten pages, as for a new table.
_FORGET_SMALL_TABLES = """
    UPDATE pg_class SET reltuples = -1, relpages = 0
    WHERE relkind = 'r' AND reltuples < 50 AND relnamespace = 'public'::regnamespace
"""


def plan_of(query: str, params: Sequence[Any]) -> str:
    """The plan without sequential scans: if it still contains `Seq Scan`, no index supports the query."""
    with transaction.atomic():
        sql.execute(_FORGET_SMALL_TABLES)
        sql.execute("SET LOCAL enable_seqscan = off")
        plan = "\n".join(line for (line,) in sql.fetch_all(f"EXPLAIN {query}", list(params)))
        transaction.set_rollback(True)
    return plan
