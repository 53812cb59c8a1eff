"""Invariants of events and of the statistics that are counted from them."""

from django.utils.translation import gettext_noop

from commerce.invariants.rule import Invariant
from commerce.outbox.publish import event_id_sql, short_event_id_sql

_COMPLETED = event_id_sql("order-completed", "id", "created_at")
_CANCELLED = event_id_sql("order-cancelled", "id", "cancelled_at")
_REFUNDED = event_id_sql("order-refunded", "refund.id", "refund.created_at")

# All earlier events have been counted, and their rows may be purged (`stats.operations`). The orders still exist, so
# the statistics can be checked against them, except for days whose orders may have been archived (`final_until`).
_COUNTED_UNTIL = "coalesce((SELECT moment FROM counted_until), '-infinity')"

# These events only notify customers and webhooks, so there is no message to Kafka.
_TOLD = f"""
    SELECT {event_id_sql("coupon-expiring", "user_coupon_id", "noticed_at")} FROM coupon_expiry_notice
"""  # noqa: S608  # our own text

# Every fact that causes an event, with the event's id, its id in the previous format, and the time.
FACTS = f"""
    SELECT {event_id_sql("balance-changed", "id", "created_at")} AS event_id,
           {short_event_id_sql("balance-changed", "id")} AS short_id, created_at AS happened_at
    FROM user_balance_tx
    UNION ALL
    SELECT {event_id_sql("coupon-issued", "id", "issued_at")}, {short_event_id_sql("coupon-issued", "id")}, issued_at
    FROM user_coupon
    UNION ALL
    SELECT {_COMPLETED}, {short_event_id_sql("order-completed", "id")}, completed_at
    FROM "order" WHERE completed_at IS NOT NULL
    UNION ALL
    SELECT {_CANCELLED}, {short_event_id_sql("order-cancelled", "id")}, cancelled_at
    FROM "order" WHERE cancelled_at IS NOT NULL
    UNION ALL
    SELECT {_REFUNDED}, {short_event_id_sql("order-refunded", "id")}, created_at FROM refund
"""  # noqa: S608  # our own text

EVENTS_HAVE_FACTS = Invariant(
    "events_have_facts",
    gettext_noop("Every event that was sent or counted has its fact."),
    f"""
    WITH fact AS ({FACTS}), known AS (SELECT event_id FROM fact UNION ALL SELECT short_id FROM fact
                               UNION ALL {_TOLD})
    SELECT 'outbox message ' || id, event_id || ' never happened' FROM outbox_message
    WHERE NOT EXISTS (SELECT FROM known WHERE known.event_id = outbox_message.event_id)
    UNION ALL
    SELECT 'processed event', event_id || ' never happened' FROM processed_event
    WHERE NOT EXISTS (SELECT FROM fact WHERE fact.event_id = processed_event.event_id)
    """,  # noqa: S608  # our own text
)

# Delivered messages may be purged, oldest first. A fact that is younger than the oldest stored delivery was delivered
# after it or is waiting, so its message must exist. The minute allows for clock differences.
FACTS_HAVE_MESSAGES = Invariant(
    "facts_have_messages",
    gettext_noop("Every fact since the oldest kept delivery has its message to Kafka."),
    f"""
    WITH fact AS ({FACTS})
    SELECT 'event ' || event_id, 'no message, happened at ' || happened_at
    FROM fact
    WHERE happened_at > (SELECT min(sent_at) + interval '1 minute' FROM outbox_message WHERE destination = 'kafka')
      AND NOT EXISTS (
          SELECT FROM outbox_message AS message WHERE message.event_id = fact.event_id AND destination = 'kafka'
      )
      AND NOT EXISTS (
          SELECT FROM outbox_message AS message WHERE message.event_id = fact.short_id AND destination = 'kafka'
      )
    """,  # noqa: S608  # our own text
)

ONE_MESSAGE = Invariant(
    "one_message_per_destination",
    gettext_noop("An event has at most one message for each destination."),
    """
    SELECT 'event ' || event_id, format('%%s messages for %%s', count(*), destination)
    FROM outbox_message GROUP BY event_id, destination, subscription_id HAVING count(*) > 1
    """,
)

WEBHOOKS_HAVE_SUBSCRIPTIONS = Invariant(
    "webhooks_have_subscriptions",
    gettext_noop("A message to a webhook names a subscription that there is; no other message names one."),
    """
    SELECT 'outbox message ' || message.id, format('%%s to %%s names subscription %%s', event_id, destination,
                                                  coalesce(subscription_id::text, 'none'))
    FROM outbox_message AS message LEFT JOIN webhook_subscription AS subscription ON subscription.id = subscription_id
    WHERE (destination = 'webhooks') <> (subscription_id IS NOT NULL)
       OR subscription_id IS NOT NULL AND subscription.id IS NULL
    """,
)

NOTHING_PENDING = Invariant(
    "nothing_is_pending",
    gettext_noop("In a quiet system every message has arrived."),
    """
    SELECT 'outbox message ' || id,
           format('%%s to %%s is %%s after %%s attempts', event_id, destination,
                  CASE WHEN parked_at IS NULL THEN 'waiting' ELSE 'parked' END, attempts)
    FROM outbox_message WHERE sent_at IS NULL
    """,
    only_when_quiet=True,
)

STATISTICS = Invariant(
    "statistics_are_counted_orders",
    gettext_noop(
        "Units sold per product and day are those of the orders counted so far, less the cancellations and refunds "
        "counted so far."
    ),
    f"""
    WITH counted AS (
        SELECT id, ordered_date, 1 AS sign FROM "order" LEFT JOIN processed_event ON event_id = {_COMPLETED}
        WHERE completed_at IS NOT NULL AND (event_id IS NOT NULL OR created_at < {_COUNTED_UNTIL})
        UNION ALL
        SELECT id, ordered_date, -1 FROM "order" LEFT JOIN processed_event ON event_id = {_CANCELLED}
        WHERE cancelled_at IS NOT NULL AND (event_id IS NOT NULL OR cancelled_at < {_COUNTED_UNTIL})
    ), due AS (
        SELECT product_id, date, sum(quantity) AS quantity FROM (
            SELECT product_id, ordered_date AS date, sign * quantity AS quantity
            FROM counted JOIN order_item ON order_id = counted.id
            UNION ALL
            SELECT product_id, ordered_date, -refund_item.quantity
            FROM refund JOIN refund_item ON refund_id = refund.id JOIN "order" AS purchase ON purchase.id = order_id
            LEFT JOIN processed_event ON event_id = {_REFUNDED}
            WHERE event_id IS NOT NULL OR refund.created_at < {_COUNTED_UNTIL}
        ) AS moved
        GROUP BY product_id, date
    )
    SELECT format('product %%s on %%s', coalesce(due.product_id, stat.product_id), coalesce(due.date, stat.date)),
           format('%%s counted, %%s sold', coalesce(quantity_sold, 0), coalesce(quantity, 0))
    FROM due FULL JOIN product_stat AS stat ON stat.product_id = due.product_id AND stat.date = due.date
    WHERE coalesce(quantity_sold, 0) <> coalesce(quantity, 0)
      AND coalesce(due.date, stat.date) > coalesce((SELECT day FROM final_until), '-infinity')
    """,  # noqa: S608  # our own text
)

ORDERS_ARE_COUNTED = Invariant(
    "orders_are_counted",
    gettext_noop("In a quiet system every order, cancellation and refund has been counted."),
    f"""
    SELECT 'event ' || event_id, 'not counted'
    FROM (
        SELECT {_COMPLETED} AS event_id FROM "order"
        WHERE completed_at IS NOT NULL AND created_at >= {_COUNTED_UNTIL}
        UNION ALL
        SELECT {_CANCELLED} FROM "order" WHERE cancelled_at IS NOT NULL AND cancelled_at >= {_COUNTED_UNTIL}
        UNION ALL
        SELECT {_REFUNDED} FROM refund WHERE created_at >= {_COUNTED_UNTIL}
    ) AS due
    WHERE NOT EXISTS (SELECT FROM processed_event AS counted WHERE counted.event_id = due.event_id)
    """,  # noqa: S608  # our own text
    only_when_quiet=True,
)

# Longer than any request may take: such a transaction was abandoned, but still holds its locks.
NOTHING_IDLES = Invariant(
    "nothing_idles_in_a_transaction",
    gettext_noop("No connection sits idle in a transaction for longer than a request may take."),
    """
    SELECT 'backend ' || pid, 'idle in transaction since ' || state_change
    FROM pg_stat_activity
    WHERE datname = current_database() AND state LIKE 'idle in transaction%%'
      AND state_change <= clock_timestamp() - make_interval(secs => %(idle_seconds)s)
    """,
)

EVENTS = (
    EVENTS_HAVE_FACTS,
    FACTS_HAVE_MESSAGES,
    ONE_MESSAGE,
    WEBHOOKS_HAVE_SUBSCRIPTIONS,
    NOTHING_PENDING,
    STATISTICS,
    ORDERS_ARE_COUNTED,
    NOTHING_IDLES,
)
