"""Archiving stock movements, from the oldest, with a checkpoint for each product."""

from collections.abc import Sequence
from datetime import datetime

from commerce.archive.pages import Choice
from commerce.core import sql

# As for the ledger: everything below the first movement that stays. New movements of a product have higher ids than its
# existing ones, because they are written while its row is locked.
CHOOSE = """
    WITH page AS MATERIALIZED (
        SELECT id, created_at >= %(before)s AS stays
        FROM stock_movement WHERE id > %(after)s ORDER BY id LIMIT %(most)s
    )
    SELECT id FROM page WHERE NOT EXISTS (SELECT FROM page AS kept WHERE kept.stays AND kept.id <= page.id) ORDER BY id
"""

# By product. The trigger checks the sum against the existing movements, so that none between two checkpoints is missed.
MOVE_CHECKPOINTS = """
    INSERT INTO stock_checkpoint (product_id, movement_id, stock, covers_until)
    SELECT product_id, max(id), sum(quantity), max(created_at)
    FROM stock_movement WHERE id = ANY(%s::bigint[])
    GROUP BY product_id ORDER BY product_id
    ON CONFLICT (product_id) DO UPDATE
    SET movement_id = EXCLUDED.movement_id, stock = stock_checkpoint.stock + EXCLUDED.stock,
        covers_until = greatest(stock_checkpoint.covers_until, EXCLUDED.covers_until)
"""

TAKE_OUT = """
    WITH gone AS (DELETE FROM stock_movement WHERE id = ANY(%s::bigint[]) RETURNING *)
    SELECT row_to_json(gone)::text FROM gone ORDER BY id
"""


class LeavingMovements:
    """The archiving of stock movements."""

    name = "stock_movement"

    def choose(self, *, before: datetime, after: int, most: int) -> Choice:
        ids = [row[0] for row in sql.fetch_all(CHOOSE, {"before": before, "after": after, "most": most})]
        return Choice(ids, ids[-1] if len(ids) == most else None)

    def take_out(self, ids: Sequence[int]) -> list[str]:
        sql.execute(MOVE_CHECKPOINTS, [list(ids)])
        return [row[0] for row in sql.fetch_all(TAKE_OUT, [list(ids)])]
