"""Invariants of stock and stock movements. Archived movements count with the stock of their product's checkpoint.

As with the ledger, an order is kept longer than its movements.
"""

from django.utils.translation import gettext_noop

from commerce.invariants.rule import Invariant

STOCK_NOT_NEGATIVE = Invariant(
    "stock_not_negative",
    gettext_noop("No product has less than nothing."),
    "SELECT 'product ' || id, format('stock %%s', stock) FROM product WHERE stock < 0",
)

STOCK_IS_MOVEMENTS = Invariant(
    "stock_is_its_movements",
    gettext_noop("Stock is opening + adjustments - sold + returned: every change left a movement, staff's included."),
    """
    SELECT 'product ' || id, format('stock %%s, movements %%s', stock, explained)
    FROM (
        SELECT product.id, product.stock, coalesce(archived.stock, 0) + coalesce(moved, 0) AS explained
        FROM product
        LEFT JOIN stock_checkpoint AS archived ON archived.product_id = product.id
        LEFT JOIN (SELECT product_id, sum(quantity) AS moved FROM stock_movement GROUP BY product_id) AS movement
               ON movement.product_id = product.id
    ) AS shelf
    WHERE stock <> explained
    """,
)

SALES_ARE_ORDERS = Invariant(
    "sales_are_order_items",
    gettext_noop("Each item of a placed order took its units off the stock once, and nothing else was sold."),
    """
    SELECT format('order %%s, product %%s', coalesce(item.order_id, sold.order_id),
                  coalesce(item.product_id, sold.product_id)),
           format('%%s sold, %%s ordered', coalesce(-sold.quantity, 0), coalesce(item.quantity, 0))
    FROM (
        SELECT order_id, product_id, sum(quantity) AS quantity, max(created_at) AS sold_at
        FROM order_item JOIN "order" AS purchase ON purchase.id = order_id AND status <> 'PROCESSING'
        GROUP BY order_id, product_id
    ) AS item
    FULL JOIN (
        SELECT order_id, product_id, sum(quantity) AS quantity
        FROM stock_movement WHERE reason = 'SALE' GROUP BY order_id, product_id
    ) AS sold ON sold.order_id = item.order_id AND sold.product_id = item.product_id
    LEFT JOIN stock_checkpoint AS archived ON archived.product_id = item.product_id
    WHERE -sold.quantity IS DISTINCT FROM item.quantity
      AND NOT (sold.quantity IS NULL AND sold_at <= coalesce(covers_until, '-infinity'))
    """,
)

RETURNS_ARE_CANCELS = Invariant(
    "returns_are_cancelled_items",
    gettext_noop("Each item of a cancelled order came back once, and nothing else came back without a refund."),
    """
    SELECT format('order %%s, product %%s', coalesce(item.order_id, returned.order_id),
                  coalesce(item.product_id, returned.product_id)),
           format('%%s returned, %%s cancelled', coalesce(returned.quantity, 0), coalesce(item.quantity, 0))
    FROM (
        SELECT order_id, product_id, sum(quantity) AS quantity, max(cancelled_at) AS returned_at
        FROM order_item JOIN "order" AS purchase ON purchase.id = order_id AND status = 'CANCELLED'
        GROUP BY order_id, product_id
    ) AS item
    FULL JOIN (
        SELECT order_id, product_id, sum(quantity) AS quantity
        FROM stock_movement WHERE reason = 'RETURN' AND refund_id IS NULL GROUP BY order_id, product_id
    ) AS returned ON returned.order_id = item.order_id AND returned.product_id = item.product_id
    LEFT JOIN stock_checkpoint AS archived ON archived.product_id = item.product_id
    WHERE returned.quantity IS DISTINCT FROM item.quantity
      AND NOT (returned.quantity IS NULL AND returned_at <= coalesce(covers_until, '-infinity'))
    """,
)

RETURNS_ARE_REFUNDS = Invariant(
    "returns_are_restocked_refunds",
    gettext_noop("Each item of a refund that puts its units in stock came back once, and of no other refund any."),
    """
    SELECT format('refund %%s, product %%s', coalesce(item.refund_id, returned.refund_id),
                  coalesce(item.product_id, returned.product_id)),
           format('%%s returned, %%s refunded', coalesce(returned.quantity, 0), coalesce(item.quantity, 0))
    FROM (
        SELECT order_id, refund_id, product_id, quantity, created_at AS returned_at
        FROM refund_item JOIN refund ON refund.id = refund_id WHERE restock
    ) AS item
    FULL JOIN (
        SELECT order_id, refund_id, product_id, sum(quantity) AS quantity
        FROM stock_movement WHERE reason = 'RETURN' AND refund_id IS NOT NULL GROUP BY order_id, refund_id, product_id
    ) AS returned ON returned.refund_id = item.refund_id AND returned.product_id = item.product_id
                 AND returned.order_id = item.order_id
    LEFT JOIN stock_checkpoint AS archived ON archived.product_id = item.product_id
    WHERE returned.quantity IS DISTINCT FROM item.quantity
      AND NOT (returned.quantity IS NULL AND returned_at <= coalesce(covers_until, '-infinity'))
    """,
)

STOCK = (STOCK_NOT_NEGATIVE, STOCK_IS_MOVEMENTS, SALES_ARE_ORDERS, RETURNS_ARE_CANCELS, RETURNS_ARE_REFUNDS)
