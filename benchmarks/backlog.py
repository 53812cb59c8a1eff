"""Writes orders in one set, with all related rows: a backlog for dispatcher and consumer.

Each order has one unit and a different customer, so that each ledger grows by one entry.
"""

import psycopg

from benchmarks.books import number
from benchmarks.dataset import PRICE_WON

# The ids are drawn first, because later rows refer to them. docs/ledger.md describes the text of the hash.
_DRAW = """
    CREATE TEMPORARY TABLE drawn AS
    SELECT nextval('order_id_seq') AS order_id, nextval('user_balance_tx_id_seq') AS entry_id, customer AS user_id,
           (customer * 7919) %% %(products)s + 1 AS product_id, now() AS at
    FROM generate_series(1, %(orders)s::bigint) AS customer
"""
_ORDERS = """
    INSERT INTO "order" (id, user_id, status, total_amount, discount_amount, paid_amount, user_coupon_id, ordered_date,
                         created_at, completed_at)
    SELECT order_id, user_id, 'COMPLETED', %(price)s, 0, %(price)s, NULL, (at AT TIME ZONE %(zone)s)::date, at, at
    FROM drawn
"""
_ITEMS = """
    INSERT INTO order_item (order_id, product_id, product_name, unit_price, quantity)
    SELECT order_id, product_id, 'Product ' || product_id, %(price)s, 1 FROM drawn
"""
_MOVEMENTS = """
    INSERT INTO stock_movement (product_id, reason, quantity, order_id, created_at)
    SELECT product_id, 'SALE', -1, order_id, at FROM drawn
"""
_STOCK = """
    UPDATE product SET stock = stock - sold.units
    FROM (SELECT product_id, count(*) AS units FROM drawn GROUP BY product_id) AS sold
    WHERE sold.product_id = product.id
"""
_ACCOUNTS = """
    UPDATE "user" AS account SET
        balance = balance - %(price)s,
        ledger_head = sha256(ledger_head || convert_to(
            entry_id || '|' || user_id || '|PAYMENT|' || -%(price)s::bigint || '|' || (balance - %(price)s) || '|'
                || order_id || '|' || trunc(extract(epoch FROM at) * 1000000), 'UTF8'))
    FROM drawn WHERE account.id = drawn.user_id
"""
_LEDGER = """
    INSERT INTO user_balance_tx (id, user_id, type, amount, balance_after, order_id, created_at, entry_hash)
    SELECT entry_id, user_id, 'PAYMENT', -%(price)s, balance, order_id, at, ledger_head
    FROM drawn JOIN "user" AS account ON account.id = user_id
"""
_MESSAGES = """
    INSERT INTO outbox_message (event_id, type, aggregate_type, aggregate_id, destination, payload)
    SELECT named, 'order-completed', 'order', user_id::text, 'kafka', json_build_object(
        'specversion', '1.0', 'id', named, 'source', '/commerce', 'type', 'order-completed',
        'subject', 'order/' || order_id, 'time', told, 'datacontenttype', 'application/json',
        'data', json_build_object(
            'id', order_id, 'userId', user_id, 'status', 'COMPLETED',
            'items', json_build_array(json_build_object(
                'productId', product_id, 'productName', 'Product ' || product_id, 'unitPrice', %(price)s::bigint,
                'quantity', 1, 'subtotal', %(price)s::bigint)),
            'totalAmount', %(price)s::bigint, 'discountAmount', 0, 'paidAmount', %(price)s::bigint,
            'userCouponId', NULL, 'createdAt', told, 'completedAt', told, 'cancelledAt', NULL))::text
    FROM (
        SELECT *, to_char(at AT TIME ZONE %(zone)s, 'YYYY-MM-DD"T"HH24:MI:SS.US') || '+09:00' AS told,
            'order-completed:' || order_id || ':' || trunc(extract(epoch FROM at) * 1000000) AS named
        FROM drawn
    ) AS d
    UNION ALL
    SELECT 'balance-changed:' || entry_id, 'balance-changed', 'user', user_id::text, 'kafka', json_build_object(
        'specversion', '1.0', 'id', 'balance-changed:' || entry_id, 'source', '/commerce', 'type', 'balance-changed',
        'subject', 'user/' || entry_id, 'time', at, 'datacontenttype', 'application/json', 'data', json_build_object(
            'id', entry_id, 'userId', user_id, 'type', 'PAYMENT', 'amount', -%(price)s::bigint, 'orderId', order_id
        ))::text
    FROM drawn
"""


def write_orders(connection: psycopg.Connection, *, orders: int, products: int, zone: str) -> int:
    """Write `orders` orders with two messages each, one for each of the first customers. Returns the lowest order id.

    All rows have the same time. Only for time zones that are whole hours east of UTC: `zone` is 9 hours ahead.
    """
    values = {
        "orders": orders,
        "products": products,
        "price": PRICE_WON,
        "zone": zone,
    }
    with connection.transaction():
        connection.execute(_DRAW, values)
        for statement in (_ORDERS, _ITEMS, _MOVEMENTS, _STOCK, _ACCOUNTS, _LEDGER, _MESSAGES):
            connection.execute(statement, values)
        lowest = number(connection, "SELECT min(order_id) FROM drawn")
        connection.execute("DROP TABLE drawn")
    return lowest
