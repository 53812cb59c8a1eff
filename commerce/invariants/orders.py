"""Invariants of orders, their payments and refunds, and the stored responses of their buyers.

An order is kept longer than its ledger entries (`commerce.archive`): a missing entry is no violation if the entries of
that time have been archived. Every kept payment or refund has its order.
"""

from django.utils.translation import gettext_noop

from commerce.invariants.rule import Invariant

ORDER_TOTAL = Invariant(
    "order_total_is_its_items",
    gettext_noop("An order has items, and its total is their sum."),
    """
    SELECT 'order ' || purchase.id, format('total %%s, items %%s', total_amount, items)
    FROM "order" AS purchase
    LEFT JOIN (SELECT order_id, sum(unit_price * quantity) AS items FROM order_item GROUP BY order_id) AS item
           ON item.order_id = purchase.id
    WHERE items IS DISTINCT FROM total_amount
    """,
)

ORDER_PAID = Invariant(
    "order_paid_is_total_less_discount",
    gettext_noop("Paid is total minus discount, and the discount is not more than the total."),
    """
    SELECT 'order ' || id, format('paid %%s of %%s with %%s off', paid_amount, total_amount, discount_amount)
    FROM "order"
    WHERE paid_amount <> total_amount - discount_amount OR discount_amount NOT BETWEEN 0 AND total_amount
    """,
)

ORDER_DISCOUNT = Invariant(
    "order_discount_is_its_coupons",
    gettext_noop("A discount is what the order's coupon takes off; without a coupon there is none."),
    """
    SELECT 'order ' || purchase.id, format('discount %%s instead of %%s', discount_amount, due)
    FROM "order" AS purchase
    LEFT JOIN user_coupon ON user_coupon.id = user_coupon_id
    LEFT JOIN coupon ON coupon.id = user_coupon.coupon_id
    CROSS JOIN LATERAL (
        SELECT CASE discount_type
                   WHEN 'FIXED' THEN least(discount_value, total_amount)
                   WHEN 'PERCENT' THEN least(div(total_amount::numeric * discount_value, 100), max_discount)
                   ELSE 0
               END AS due
    ) AS discount
    WHERE discount_amount <> due
    """,
)

ORDER_FINISHED = Invariant(
    "no_order_is_left_unfinished",
    gettext_noop("PROCESSING exists only inside the transaction that places an order."),
    """SELECT 'order ' || id, 'PROCESSING since ' || created_at FROM "order" WHERE status = 'PROCESSING'""",
)

ORDER_PAYMENT = Invariant(
    "order_has_its_one_payment",
    gettext_noop(
        "A placed order has exactly one payment, of its amount and by its owner; no payment is without an order."
    ),
    """
    SELECT coalesce('order ' || purchase.id, 'ledger entry ' || first_id),
           CASE WHEN purchase.id IS NULL THEN 'payment of no order'
                ELSE format('%%s payments, %%s of %%s', coalesce(entries, 0), coalesce(-amount, 0), paid_amount)
           END
    FROM (SELECT * FROM "order" WHERE status <> 'PROCESSING') AS purchase
    FULL JOIN (
        SELECT order_id, count(*) AS entries, sum(amount) AS amount, min(user_id) AS payer, min(id) AS first_id
        FROM user_balance_tx WHERE type = 'PAYMENT' GROUP BY order_id
    ) AS payment ON payment.order_id = purchase.id
    LEFT JOIN ledger_checkpoint AS archived ON archived.user_id = purchase.user_id
    WHERE (entries IS DISTINCT FROM 1 OR -amount IS DISTINCT FROM paid_amount
           OR payer IS DISTINCT FROM purchase.user_id)
      AND NOT (entries IS NULL AND purchase.created_at <= coalesce(covers_until, '-infinity'))
    """,
)

ORDER_REFUND = Invariant(
    "cancelled_order_has_its_one_refund",
    gettext_noop(
        "A cancelled order has exactly one ledger entry that gives back what was paid, and to its owner; no other"
        " order has one that no refund explains."
    ),
    """
    SELECT coalesce('order ' || purchase.id, 'ledger entry ' || first_id),
           CASE WHEN purchase.id IS NULL THEN 'refund of no cancelled order'
                ELSE format('%%s refunds, %%s of %%s', coalesce(entries, 0), coalesce(amount, 0), paid_amount)
           END
    FROM (SELECT * FROM "order" WHERE status = 'CANCELLED') AS purchase
    FULL JOIN (
        SELECT order_id, count(*) AS entries, sum(amount) AS amount, min(user_id) AS receiver, min(id) AS first_id
        FROM user_balance_tx WHERE type = 'REFUND' AND refund_id IS NULL GROUP BY order_id
    ) AS refund ON refund.order_id = purchase.id
    LEFT JOIN ledger_checkpoint AS archived ON archived.user_id = purchase.user_id
    WHERE (entries IS DISTINCT FROM 1 OR amount IS DISTINCT FROM paid_amount
           OR receiver IS DISTINCT FROM purchase.user_id)
      AND NOT (entries IS NULL AND purchase.cancelled_at <= coalesce(covers_until, '-infinity'))
    """,
)

REFUNDS_ADD_UP = Invariant(
    "refunds_are_what_the_order_says",
    gettext_noop(
        "What an order says is refunded, in won and in units, is the sum of its refunds; and it is REFUNDED exactly"
        " when all of it is back."
    ),
    """
    SELECT 'order ' || purchase.id,
           format('%%s: %%s won and %%s of %%s units refunded, its refunds: %%s won and %%s units', status,
                  refunded_amount, refunded_units, bought, coalesce(won, 0), coalesce(units, 0))
    FROM "order" AS purchase
    JOIN (SELECT order_id, sum(quantity) AS bought FROM order_item GROUP BY order_id) AS item
      ON item.order_id = purchase.id
    LEFT JOIN (
        SELECT order_id, sum(amount) AS won FROM refund GROUP BY order_id
    ) AS refunded ON refunded.order_id = purchase.id
    LEFT JOIN (
        SELECT order_id, sum(quantity) AS units FROM refund JOIN refund_item ON refund_id = refund.id GROUP BY order_id
    ) AS returned ON returned.order_id = purchase.id
    WHERE refunded_amount <> coalesce(won, 0) OR refunded_units <> coalesce(units, 0)
       OR (status = 'REFUNDED') <> (refunded_units = bought)
    """,
)

REFUNDED_ITEMS = Invariant(
    "refunded_units_were_bought",
    gettext_noop("Of no item more units came back than were bought, and as many as the order's refunds say."),
    """
    SELECT format('order %%s, product %%s', coalesce(item.order_id, returned.order_id),
                  coalesce(item.product_id, returned.product_id)),
           format('%%s of %%s refunded, its refunds: %%s', coalesce(refunded_quantity, 0), coalesce(item.quantity, 0),
                  coalesce(units, 0))
    FROM order_item AS item
    FULL JOIN (
        SELECT order_id, product_id, sum(quantity) AS units
        FROM refund JOIN refund_item ON refund_id = refund.id GROUP BY order_id, product_id
    ) AS returned ON returned.order_id = item.order_id AND returned.product_id = item.product_id
    WHERE coalesce(units, 0) IS DISTINCT FROM refunded_quantity OR refunded_quantity > item.quantity
    """,
)

# Whatever the steps: the share that all returned goods have of the order's value, rounded down once.
REFUND_SHARE = Invariant(
    "refunds_are_their_share_of_the_price",
    gettext_noop("What is refunded of an order is the share of the payment that its returned goods have of its total."),
    """
    SELECT 'order ' || purchase.id, format('%%s won refunded instead of %%s', refunded_amount, due)
    FROM "order" AS purchase
    JOIN (SELECT order_id, sum(unit_price * refunded_quantity) AS value FROM order_item GROUP BY order_id) AS item
      ON item.order_id = purchase.id
    CROSS JOIN LATERAL (
        SELECT coalesce(div(paid_amount::numeric * value, nullif(total_amount, 0)), 0) AS due
    ) AS share
    WHERE refunded_units > 0 AND refunded_amount <> due
    """,
)

REFUND_PAID = Invariant(
    "refund_has_its_one_ledger_entry",
    gettext_noop(
        "A refund is the sum of its items and has exactly one ledger entry, of its amount and to the order's owner."
    ),
    """
    SELECT coalesce('refund ' || refund.id, 'ledger entry ' || entry.id),
           CASE WHEN refund.id IS NULL THEN 'money of no refund'
                ELSE format('%%s won, items %%s, ledger %%s', refund.amount, coalesce(items, 0),
                            coalesce(entry.amount, 0))
           END
    FROM (
        SELECT refund.*, purchase.user_id FROM refund JOIN "order" AS purchase ON purchase.id = order_id
    ) AS refund
    LEFT JOIN (SELECT refund_id, sum(amount) AS items FROM refund_item GROUP BY refund_id) AS item
           ON item.refund_id = refund.id
    FULL JOIN (SELECT * FROM user_balance_tx WHERE type = 'REFUND' AND refund_id IS NOT NULL) AS entry
           ON entry.refund_id = refund.id AND entry.order_id = refund.order_id
    LEFT JOIN ledger_checkpoint AS archived ON archived.user_id = refund.user_id
    WHERE (refund.amount IS DISTINCT FROM entry.amount OR refund.amount IS DISTINCT FROM items
           OR refund.user_id IS DISTINCT FROM entry.user_id)
      AND NOT (entry.id IS NULL AND refund.amount = items AND refund.created_at <= coalesce(covers_until, '-infinity'))
    """,
)

ANSWERS = Invariant(
    "answered_requests_exist_once",
    gettext_noop("Every stored 200 answer names a row that exists, and no two answers name the same row."),
    """
    WITH answer AS (
        SELECT id, caller_id, CASE WHEN convert_from(body, 'UTF8') LIKE '{%%}'
                                   THEN convert_from(body, 'UTF8')::jsonb ELSE '{}' END AS answered
        -- A form of the back-office keeps a sentence, which names no row in a way to look it up.
        FROM idempotency_key WHERE status = 200 AND content_type <> 'text/plain'
    ), fact AS (
        SELECT id AS answer_id,
               CASE WHEN answered ? 'restock' THEN 'refund ' || (answered ->> 'id')
                    WHEN answered ? 'paidAmount' THEN 'order ' || (answered ->> 'id') || ' ' || (answered ->> 'status')
                    WHEN answered ? 'transaction' THEN 'ledger entry ' || (answered -> 'transaction' ->> 'id')
                    WHEN answered ? 'couponId' THEN 'user coupon ' || (answered ->> 'id')
                    ELSE 'unknown answer ' || id END AS name,
               CASE WHEN answered ? 'paidAmount' THEN (answered ->> 'id')::bigint END AS order_id,
               CASE WHEN answered ? 'restock' THEN (answered ->> 'id')::bigint END AS refund_id,
               CASE WHEN answered ? 'transaction' THEN (answered -> 'transaction' ->> 'id')::bigint END AS entry_id,
               CASE WHEN answered ? 'couponId' THEN (answered ->> 'id')::bigint END AS user_coupon_id
        FROM answer
    )
    SELECT 'idempotency key ' || answer_id, name || ' does not exist' FROM fact
    WHERE NOT EXISTS (SELECT FROM "order" WHERE id = order_id)
      AND NOT EXISTS (SELECT FROM refund WHERE id = fact.refund_id)
      AND NOT EXISTS (SELECT FROM user_balance_tx WHERE id = entry_id)
      AND NOT EXISTS (SELECT FROM user_coupon WHERE id = user_coupon_id)
    UNION ALL
    SELECT name, count(*) || ' requests were answered with it' FROM fact GROUP BY name HAVING count(*) > 1
    """,
)

ORDERS = (
    ORDER_TOTAL,
    ORDER_PAID,
    ORDER_DISCOUNT,
    ORDER_FINISHED,
    ORDER_PAYMENT,
    ORDER_REFUND,
    REFUNDS_ADD_UP,
    REFUNDED_ITEMS,
    REFUND_SHARE,
    REFUND_PAID,
    ANSWERS,
)
