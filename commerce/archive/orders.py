"""Archiving whole orders with their items and refunds, after their ledger entries and stock movements."""

from collections.abc import Sequence
from datetime import datetime

from commerce.archive.pages import Choice
from commerce.core import sql
from commerce.outbox.publish import event_id_sql, short_event_id_sql
from orders.events import ORDER_CANCELLED, ORDER_COMPLETED, ORDER_REFUNDED
from stats.operations import COUNT_WITH_OTHERS, COUNTED_UNTIL, COUNTING, make_final

_COMPLETED = event_id_sql(ORDER_COMPLETED, "purchase.id", "purchase.created_at")
_CANCELLED = event_id_sql(ORDER_CANCELLED, "purchase.id", "purchase.cancelled_at")
_EVENTS = (
    f"ARRAY[{_COMPLETED}, {_CANCELLED}, {short_event_id_sql(ORDER_COMPLETED, 'purchase.id')}, "
    f"{short_event_id_sql(ORDER_CANCELLED, 'purchase.id')}]"
)
_REFUNDED = event_id_sql(ORDER_REFUNDED, "refund.id", "refund.created_at")

# Orders are read by id, which ascends with time, up to the first order that is too recent. An order that stays, such as
# one that was recently cancelled or refunded, does not block the others. A row that is being cancelled or refunded is
# skipped; a later cancellation or refund does not find the order. One that commits between the statement's snapshot and
# the row lock is detected, because PostgreSQL checks the conditions again with the newest version of the row:
# `cancelled_at` is recent, or `refunded_units` is more than the refunds in the snapshot.
CHOOSE = f"""
    WITH page AS MATERIALIZED (
        SELECT id, created_at < %(before)s AS is_old FROM "order" WHERE id > %(after)s ORDER BY id LIMIT %(most)s
    ), leaving AS MATERIALIZED (
        SELECT purchase.id FROM "order" AS purchase
        WHERE id IN (SELECT id FROM page WHERE is_old)
          AND status <> 'PROCESSING'
          AND greatest(created_at, cancelled_at) < least(%(before)s, {COUNTED_UNTIL})
          AND refunded_units = (
              SELECT coalesce(sum(quantity), 0) FROM refund JOIN refund_item ON refund_id = refund.id
              WHERE order_id = purchase.id AND refund.created_at < least(%(before)s, {COUNTED_UNTIL})
          )
          AND NOT EXISTS (SELECT FROM user_balance_tx WHERE order_id = purchase.id AND type = 'PAYMENT')
          AND NOT EXISTS (SELECT FROM user_balance_tx WHERE order_id = purchase.id AND type = 'REFUND')
          AND NOT EXISTS (SELECT FROM stock_movement WHERE order_id = purchase.id)
          AND NOT EXISTS (SELECT FROM reservation WHERE order_id = purchase.id)
          AND NOT EXISTS (SELECT FROM outbox_message WHERE event_id = ANY({_EVENTS}))
          AND NOT EXISTS (SELECT FROM processed_event WHERE event_id = ANY({_EVENTS}))
          AND NOT EXISTS (
              SELECT FROM refund WHERE order_id = purchase.id AND (
                  EXISTS (SELECT FROM outbox_message WHERE event_id = {_REFUNDED})
                  OR EXISTS (SELECT FROM processed_event WHERE event_id = {_REFUNDED})
              )
          )
        ORDER BY id FOR UPDATE SKIP LOCKED
    )
    SELECT (SELECT max(id) FROM page), (SELECT count(*) FILTER (WHERE is_old) FROM page),
           ARRAY(SELECT id FROM leaving ORDER BY id)
"""  # noqa: S608  # our own text

LINES = """
    SELECT (to_jsonb(purchase) || jsonb_build_object(
               'items', (
                   SELECT jsonb_agg(to_jsonb(item) ORDER BY item.id) FROM order_item AS item
                   WHERE order_id = purchase.id
               ),
               'refunds', (
                   SELECT coalesce(jsonb_agg(to_jsonb(refund) ORDER BY refund.id), '[]') FROM refund
                   WHERE order_id = purchase.id
               ),
               'refund_items', (
                   SELECT coalesce(jsonb_agg(to_jsonb(item) ORDER BY item.id), '[]')
                   FROM refund_item AS item JOIN refund ON refund.id = refund_id WHERE order_id = purchase.id
               )
           ))::text
    FROM "order" AS purchase WHERE id = ANY(%s::bigint[]) ORDER BY id
"""
LAST_OF = 'SELECT max(ordered_date), max(created_at) FROM "order" WHERE id = ANY(%s::bigint[])'
# The order is deleted first, because the trigger lets a refund be deleted only after its order, and an item of a refund
# only after the refund. Foreign keys are checked at COMMIT.
DELETE_ORDERS = 'DELETE FROM "order" WHERE id = ANY(%s::bigint[])'
DELETE_ITEMS = "DELETE FROM order_item WHERE order_id = ANY(%s::bigint[])"
DELETE_REFUNDS = "DELETE FROM refund WHERE order_id = ANY(%s::bigint[]) RETURNING id"
DELETE_REFUND_ITEMS = "DELETE FROM refund_item WHERE refund_id = ANY(%s::bigint[])"


class LeavingOrders:
    """The archiving of orders with their items and refunds."""

    name = "order"

    def choose(self, *, before: datetime, after: int, most: int) -> Choice:
        # Before any row is locked: a recomputation of a day waits for this transaction and then sees that it is final.
        sql.fetch_one(COUNT_WITH_OTHERS, [COUNTING])
        [(last, old, ids)] = sql.fetch_all(CHOOSE, {"before": before, "after": after, "most": most})
        return Choice(ids, last if old == most else None)

    def take_out(self, ids: Sequence[int]) -> list[str]:
        lines = [row[0] for row in sql.fetch_all(LINES, [list(ids)])]
        [(day, moment)] = sql.fetch_all(LAST_OF, [list(ids)])
        make_final(day=day, moment=moment)
        sql.execute(DELETE_ORDERS, [list(ids)])
        sql.execute(DELETE_ITEMS, [list(ids)])
        refund_ids = [row[0] for row in sql.fetch_all(DELETE_REFUNDS, [list(ids)])]
        sql.execute(DELETE_REFUND_ITEMS, [refund_ids])
        return lines
