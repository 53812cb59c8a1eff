"""Archiving ledger entries, from the beginning of the ledger, with a checkpoint for each account."""

from collections.abc import Sequence
from datetime import datetime

from balances.events import BALANCE_CHANGED
from commerce.archive.pages import Choice
from commerce.core import sql
from commerce.outbox.publish import event_id_sql, short_event_id_sql

_EVENT = event_id_sql(BALANCE_CHANGED, "entry.id", "entry.created_at")
_SHORT = short_event_id_sql(BALANCE_CHANGED, "entry.id")

# Everything below the first entry that stays, so that an account keeps the end of its chain. An entry stays while its
# message waits or is parked: a kept message must have its fact (`events_have_facts`). No lock is needed, because new
# entries of an account have higher ids than its existing ones.
CHOOSE = f"""
    WITH page AS MATERIALIZED (
        SELECT id, created_at >= %(before)s OR EXISTS (
                   SELECT FROM outbox_message WHERE event_id = ANY(ARRAY[{_EVENT}, {_SHORT}])
               ) AS stays
        FROM user_balance_tx AS entry WHERE id > %(after)s ORDER BY id LIMIT %(most)s
    )
    SELECT id FROM page WHERE NOT EXISTS (SELECT FROM page AS kept WHERE kept.stays AND kept.id <= page.id) ORDER BY id
"""  # noqa: S608  # our own text

# The balance is that of the entry, not of the account, which charges and payments change meanwhile.
MOVE_CHECKPOINTS = """
    INSERT INTO ledger_checkpoint (user_id, entry_id, balance, entry_hash, covers_until)
    SELECT DISTINCT ON (user_id) user_id, id, balance_after, entry_hash,
           max(created_at) OVER (PARTITION BY user_id)
    FROM user_balance_tx WHERE id = ANY(%s::bigint[])
    ORDER BY user_id, id DESC
    ON CONFLICT (user_id) DO UPDATE
    SET entry_id = EXCLUDED.entry_id, balance = EXCLUDED.balance, entry_hash = EXCLUDED.entry_hash,
        covers_until = greatest(ledger_checkpoint.covers_until, EXCLUDED.covers_until)
"""

# A separate statement, because the trigger checks the checkpoint.
TAKE_OUT = """
    WITH gone AS (DELETE FROM user_balance_tx WHERE id = ANY(%s::bigint[]) RETURNING *)
    SELECT row_to_json(gone)::text FROM gone ORDER BY id
"""


class LeavingEntries:
    """The archiving of ledger entries."""

    name = "user_balance_tx"

    def choose(self, *, before: datetime, after: int, most: int) -> Choice:
        ids = [row[0] for row in sql.fetch_all(CHOOSE, {"before": before, "after": after, "most": most})]
        return Choice(ids, ids[-1] if len(ids) == most else None)

    def take_out(self, ids: Sequence[int]) -> list[str]:
        sql.execute(MOVE_CHECKPOINTS, [list(ids)])
        return [row[0] for row in sql.fetch_all(TAKE_OUT, [list(ids)])]


def oldest_entry() -> datetime | None:
    """The time of the oldest entry in the database; None if there is none."""
    [(moment,)] = sql.fetch_all("SELECT min(created_at) FROM user_balance_tx")
    return moment  # type: ignore[no-any-return]  # what the statement returns
