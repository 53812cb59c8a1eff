"""How PostgreSQL would answer a query of a large table, asked of a small one.

Owns the question; a plan that could use an index and does not for lack of rows is made to.
"""

from collections.abc import Sequence
from typing import Any

from django.db import transaction

from commerce.core import sql


def plan_of(query: str, params: Sequence[Any]) -> str:
    """The plan with reading whole tables ruled out: where it still says `Seq Scan`, no index answers the query."""
    with transaction.atomic():
        sql.execute("SET LOCAL enable_seqscan = off")
        return "\n".join(line for (line,) in sql.fetch_all(f"EXPLAIN {query}", list(params)))
