"""Units that are held for carts."""

from django.utils.translation import gettext_noop

from commerce.invariants.rule import Invariant

HELD_IS_IN_STOCK = Invariant(
    "held_units_are_in_stock",
    gettext_noop("Of no product more is held than there is, nor less than nothing."),
    "SELECT 'product ' || id, format('held %%s, stock %%s', held, stock) FROM product"
    " WHERE held < 0 OR (held > 0 AND held > stock)",
)

HELD_IS_RESERVED = Invariant(
    "held_is_its_reservations",
    gettext_noop("What is held of a product is what the reservations hold that have not ended."),
    """
    SELECT 'product ' || product.id, format('held %%s, reservations %%s', held, coalesce(reserved, 0))
    FROM product
    LEFT JOIN (
        SELECT product_id, sum(quantity) AS reserved
        FROM reservation JOIN reservation_item ON reservation_id = reservation.id
        WHERE status = 'HELD' GROUP BY product_id
    ) AS held_for_carts ON held_for_carts.product_id = product.id
    WHERE held <> coalesce(reserved, 0)
    """,
)

PAID_IS_ORDERED = Invariant(
    "paid_reservations_are_orders",
    gettext_noop("A reservation that is paid has the order of its customer with exactly its items."),
    """
    SELECT 'reservation ' || paid.id, format('order %%s', paid.order_id)
    FROM reservation AS paid LEFT JOIN "order" AS purchase ON purchase.id = paid.order_id
    WHERE paid.status = 'PAID' AND (
        purchase.user_id IS DISTINCT FROM paid.user_id
        OR (SELECT jsonb_object_agg(product_id, quantity) FROM order_item WHERE order_id = paid.order_id)
           IS DISTINCT FROM
           (SELECT jsonb_object_agg(product_id, quantity) FROM reservation_item WHERE reservation_id = paid.id)
    )
    """,
)

RESERVATIONS = (HELD_IS_IN_STOCK, HELD_IS_RESERVED, PAID_IS_ORDERED)
