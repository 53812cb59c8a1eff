"""Damaged states that no code of the shop can create, each made by a few statements, with the expected report."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Damage:
    """SQL that breaks one invariant, with placeholders for the shop's ids, and the expected report."""

    invariant: str
    sql: str
    finding: str


DAMAGES = (
    Damage(
        "balance_is_ledger_sum",
        """
        UPDATE "user" SET balance = balance + 100 WHERE id = {mina};
        UPDATE "user" SET balance = balance - 100 WHERE id = {joon}
        """,
        "user {mina}: balance 35100, ledger 35000",
    ),
    Damage(
        "ledger_is_a_chain",
        """
        ALTER TABLE user_balance_tx DISABLE TRIGGER user_balance_tx_is_append_only;
        UPDATE user_balance_tx SET balance_after = balance_after + 1 WHERE order_id = {last}
        """,
        "ledger entry {last_payment}: balance 35001 after -3000 on top of 38000",
    ),
    Damage(
        "balance_not_negative",
        """
        ALTER TABLE "user" DROP CONSTRAINT user_balance_not_negative;
        ALTER TABLE user_balance_tx DROP CONSTRAINT user_balance_tx_balance_not_negative;
        INSERT INTO user_balance_tx (user_id, type, amount, balance_after, created_at, entry_hash)
        VALUES ({mina}, 'ADJUSTMENT', -35005, -5, '2020-01-01', sha256(''));
        UPDATE "user" SET balance = -5 WHERE id = {mina}
        """,
        "user {mina}: balance -5",
    ),
    Damage(
        "money_neither_appears_nor_vanishes",
        """
        ALTER TABLE user_balance_tx DROP CONSTRAINT {ledger_user_fk};
        INSERT INTO user_balance_tx (user_id, type, amount, balance_after, created_at, entry_hash)
        VALUES (999999, 'CHARGE', 7, 7, '2020-01-01', sha256(''))
        """,
        "the shop: balances 153000, ledger 153007",
    ),
    Damage(
        "order_total_is_its_items",
        """
        UPDATE order_item SET unit_price = unit_price + 1 WHERE order_id = {last}
        """,
        "order {last}: total 3000, items 3001",
    ),
    Damage(
        "order_total_is_its_items",
        """
        ALTER TABLE "order" DROP CONSTRAINT order_amounts_add_up;
        DELETE FROM order_item WHERE order_id = {last};
        ALTER TABLE stock_movement DISABLE TRIGGER stock_movement_is_append_only;
        UPDATE stock_movement SET reason = 'ADJUSTMENT', order_id = NULL WHERE order_id = {last};
        UPDATE product_stat SET quantity_sold = quantity_sold - 1 WHERE product_id = {pen}
        """,
        "order {last}: total 3000, items ",
    ),
    Damage(
        "order_paid_is_total_less_discount",
        """
        ALTER TABLE user_balance_tx DISABLE TRIGGER user_balance_tx_is_append_only;
        ALTER TABLE "order" DROP CONSTRAINT order_amounts_add_up;
        UPDATE "order" SET paid_amount = 2990 WHERE id = {last};
        UPDATE user_balance_tx SET amount = -2990, balance_after = 35010 WHERE order_id = {last};
        UPDATE "user" SET balance = 35010 WHERE id = {mina}
        """,
        "order {last}: paid 2990 of 3000 with 0 off",
    ),
    Damage(
        "order_discount_is_its_coupons",
        """
        UPDATE coupon SET discount_value = 1500 WHERE id = {coupon}
        """,
        "order {with_coupon}: discount 1000 instead of 1500",
    ),
    Damage(
        "order_discount_is_its_coupons",
        """
        UPDATE coupon SET discount_type = 'PERCENT', discount_value = 50, max_discount = 1300
        WHERE id = {coupon}
        """,
        "order {with_coupon}: discount 1000 instead of 1300",
    ),
    Damage(
        "no_order_is_left_unfinished",
        """
        INSERT INTO "order" (id, user_id, status, total_amount, discount_amount, paid_amount, ordered_date, created_at)
        VALUES (999999, {mina}, 'PROCESSING', 0, 0, 0, '2020-01-01', '2020-01-01 00:00Z');
        INSERT INTO order_item (order_id, product_id, product_name, unit_price, quantity)
        VALUES (999999, {pen}, 'Pen', 0, 1)
        """,
        "order 999999: PROCESSING since 2020-01-01 00:00:00+00",
    ),
    Damage(
        "order_has_its_one_payment",
        """
        ALTER TABLE user_balance_tx DISABLE TRIGGER user_balance_tx_is_append_only;
        UPDATE user_balance_tx SET type = 'ADJUSTMENT', order_id = NULL WHERE id = {last_payment}
        """,
        "order {last}: 0 payments, 0 of 3000",
    ),
    Damage(
        "order_has_its_one_payment",
        """
        ALTER TABLE user_balance_tx DISABLE TRIGGER user_balance_tx_is_append_only;
        UPDATE user_balance_tx SET order_id = 999999 WHERE id = {last_payment}
        """,
        "ledger entry {last_payment}: payment of no order",
    ),
    Damage(
        "order_has_its_one_payment",
        """
        ALTER TABLE user_balance_tx DISABLE TRIGGER user_balance_tx_is_append_only;
        ALTER TABLE user_balance_tx DROP CONSTRAINT user_balance_tx_order_fits_type;
        DROP INDEX user_balance_tx_one_payment_per_order;
        UPDATE user_balance_tx SET amount = -1500, balance_after = 36500 WHERE id = {last_payment};
        INSERT INTO user_balance_tx (user_id, type, amount, balance_after, order_id, created_at, entry_hash)
        VALUES ({mina}, 'PAYMENT', -1500, 35000, {last}, '2020-01-01', sha256(''))
        """,
        "order {last}: 2 payments, 3000 of 3000",
    ),
    Damage(
        "cancelled_order_has_its_one_refund",
        """
        ALTER TABLE user_balance_tx DISABLE TRIGGER user_balance_tx_is_append_only;
        UPDATE user_balance_tx SET type = 'ADJUSTMENT', order_id = NULL
        WHERE type = 'REFUND' AND refund_id IS NULL
        """,
        "order {cancelled}: 0 refunds, 0 of 17000",
    ),
    Damage(
        "cancelled_order_has_its_one_refund",
        """
        INSERT INTO user_balance_tx (user_id, type, amount, balance_after, order_id, created_at, entry_hash)
        VALUES ({mina}, 'REFUND', 3000, 38000, {last}, '2020-01-01', sha256(''));
        UPDATE "user" SET balance = 38000 WHERE id = {mina}
        """,
        "ledger entry {newest_entry}: refund of no cancelled order",
    ),
    Damage(
        "cancelled_order_has_its_one_refund",
        """
        DROP INDEX user_balance_tx_each_refund_once;
        INSERT INTO user_balance_tx (user_id, type, amount, balance_after, order_id, created_at, entry_hash)
        VALUES ({joon}, 'REFUND', 17000, 67000, {cancelled}, '2020-01-01', sha256(''));
        UPDATE "user" SET balance = 67000 WHERE id = {joon}
        """,
        "order {cancelled}: 2 refunds, 34000 of 17000",
    ),
    Damage(
        "refunds_are_what_the_order_says",
        """
        UPDATE "order" SET refunded_units = refunded_units + 1 WHERE id = {refunded}
        """,
        "order {refunded}: COMPLETED: 4000 won and 3 of 5 units refunded, its refunds: 4000 won and 2 units",
    ),
    Damage(
        "refunds_are_what_the_order_says",
        """
        ALTER TABLE "order" DROP CONSTRAINT order_refunds_fit_status;
        UPDATE "order" SET status = 'REFUNDED' WHERE id = {refunded}
        """,
        "order {refunded}: REFUNDED: 4000 won and 2 of 5 units refunded, its refunds: 4000 won and 2 units",
    ),
    Damage(
        "refunded_units_were_bought",
        """
        UPDATE order_item SET refunded_quantity = 1 WHERE product_id = {gift}
        """,
        "order {refunded}, product {gift}: 1 of 2 refunded, its refunds: 0",
    ),
    Damage(
        "refunded_units_were_bought",
        """
        ALTER TABLE refund_item DISABLE TRIGGER refund_is_append_only;
        UPDATE refund_item SET product_id = {pen} WHERE refund_id = {damaged};
        UPDATE product_stat SET quantity_sold = quantity_sold + CASE product_id WHEN {pen} THEN -1 ELSE 1 END
        WHERE product_id IN ({pen}, {chair})
        """,
        "order {refunded}, product {pen}: 0 of 0 refunded, its refunds: 1",
    ),
    Damage(
        "refunds_are_their_share_of_the_price",
        """
        ALTER TABLE refund DISABLE TRIGGER refund_is_append_only;
        ALTER TABLE refund_item DISABLE TRIGGER refund_is_append_only;
        ALTER TABLE user_balance_tx DISABLE TRIGGER user_balance_tx_is_append_only;
        UPDATE refund SET amount = 1999 WHERE id = {damaged};
        UPDATE refund_item SET amount = 1999 WHERE refund_id = {damaged};
        UPDATE "order" SET refunded_amount = 3999 WHERE id = {refunded};
        UPDATE user_balance_tx SET amount = 1999, balance_after = 7999 WHERE refund_id = {damaged};
        UPDATE "user" SET balance = 7999 WHERE id = {dana}
        """,
        "order {refunded}: 3999 won refunded instead of 4000",
    ),
    Damage(
        "refund_has_its_one_ledger_entry",
        """
        ALTER TABLE user_balance_tx DISABLE TRIGGER user_balance_tx_is_append_only;
        UPDATE user_balance_tx SET refund_id = 999999 WHERE refund_id = {damaged}
        """,
        "refund {damaged}: 2000 won, items 2000, ledger 0",
    ),
    Damage(
        "refund_has_its_one_ledger_entry",
        """
        ALTER TABLE refund_item DISABLE TRIGGER refund_is_append_only;
        UPDATE refund_item SET amount = 2001 WHERE refund_id = {damaged}
        """,
        "refund {damaged}: 2000 won, items 2001, ledger 2000",
    ),
    Damage(
        "returns_are_restocked_refunds",
        """
        ALTER TABLE refund DISABLE TRIGGER refund_is_append_only;
        UPDATE refund SET restock = true WHERE id = {damaged}
        """,
        "refund {damaged}, product {chair}: 0 returned, 1 refunded",
    ),
    Damage(
        "returns_are_restocked_refunds",
        """
        ALTER TABLE stock_movement DISABLE TRIGGER stock_movement_is_append_only;
        UPDATE stock_movement SET refund_id = {damaged} WHERE refund_id IS NOT NULL
        """,
        "refund {damaged}, product {chair}: 1 returned, 0 refunded",
    ),
    Damage(
        "answered_requests_exist_once",
        """
        UPDATE idempotency_key SET body = '{{"id": 999999, "paidAmount": 1, "status": "COMPLETED"}}'
        """,
        "idempotency key {answer}: order 999999 COMPLETED does not exist",
    ),
    Damage(
        "answered_requests_exist_once",
        """
        INSERT INTO idempotency_key (caller_id, key, fingerprint, status, content_type, body, created_at)
        SELECT caller_id, 'another-key', fingerprint, status, content_type, body, created_at
        FROM idempotency_key
        """,
        "order {last} COMPLETED: 2 requests were answered with it",
    ),
    Damage(
        "answered_requests_exist_once",
        """
        UPDATE idempotency_key
        SET body = '{{"id": 999999, "items": [], "status": "HELD", "expiresAt": "2026-01-01T09:10:00+09:00"}}'
        """,
        "idempotency key {answer}: reservation 999999 of answer {answer} does not exist",
    ),
    Damage(
        "answered_requests_exist_once",
        """
        UPDATE idempotency_key SET body = 'Bless you'
        """,
        "idempotency key {answer}: unknown answer {answer} does not exist",
    ),
    Damage(
        "stock_not_negative",
        """
        ALTER TABLE product DROP CONSTRAINT product_stock_not_negative;
        INSERT INTO stock_movement (product_id, reason, quantity, created_at)
        VALUES ({pen}, 'ADJUSTMENT', -23, '2020-01-01');
        UPDATE product SET stock = -1 WHERE id = {pen}
        """,
        "product {pen}: stock -1",
    ),
    Damage(
        "stock_is_its_movements",
        """
        UPDATE product SET stock = stock + 1 WHERE id = {pen}
        """,
        "product {pen}: stock 23, movements 22",
    ),
    Damage(
        "held_units_are_in_stock",
        """
        ALTER TABLE product DROP CONSTRAINT product_held_within_stock;
        INSERT INTO reservation (id, user_id, status, created_at, expires_at)
        VALUES (999999, {mina}, 'HELD', '2020-01-01', '2020-01-02');
        INSERT INTO reservation_item (reservation_id, product_id, quantity) VALUES (999999, {pen}, 23);
        UPDATE product SET held = 23 WHERE id = {pen}
        """,
        "product {pen}: held 23, stock 22",
    ),
    Damage(
        "held_is_its_reservations",
        """
        UPDATE product SET held = 2 WHERE id = {pen}
        """,
        "product {pen}: held 2, reservations 0",
    ),
    Damage(
        "held_is_its_reservations",
        """
        INSERT INTO reservation (id, user_id, status, created_at, expires_at)
        VALUES (999999, {mina}, 'HELD', '2020-01-01', '2020-01-02');
        INSERT INTO reservation_item (reservation_id, product_id, quantity) VALUES (999999, {pen}, 3)
        """,
        "product {pen}: held 0, reservations 3",
    ),
    Damage(
        "paid_reservations_are_orders",
        """
        INSERT INTO reservation (id, user_id, status, created_at, expires_at, ended_at, order_id)
        VALUES (999999, {mina}, 'PAID', '2020-01-01', '2020-01-02', '2020-01-01', {last});
        INSERT INTO reservation_item (reservation_id, product_id, quantity) VALUES (999999, {pen}, 2)
        """,
        "reservation 999999: order {last}",
    ),
    Damage(
        "paid_reservations_are_orders",
        """
        INSERT INTO reservation (id, user_id, status, created_at, expires_at, ended_at, order_id)
        VALUES (999999, {joon}, 'PAID', '2020-01-01', '2020-01-02', '2020-01-01', {last});
        INSERT INTO reservation_item (reservation_id, product_id, quantity) VALUES (999999, {pen}, 1)
        """,
        "reservation 999999: order {last}",
    ),
    Damage(
        "sales_are_order_items",
        """
        ALTER TABLE stock_movement DISABLE TRIGGER stock_movement_is_append_only;
        UPDATE stock_movement SET quantity = -2 WHERE order_id = {last};
        INSERT INTO stock_movement (product_id, reason, quantity, created_at)
        VALUES ({pen}, 'ADJUSTMENT', 1, '2020-01-01')
        """,
        "order {last}, product {pen}: 2 sold, 1 ordered",
    ),
    Damage(
        "sales_are_order_items",
        """
        ALTER TABLE stock_movement DISABLE TRIGGER stock_movement_is_append_only;
        UPDATE stock_movement SET reason = 'ADJUSTMENT', order_id = NULL WHERE order_id = {last}
        """,
        "order {last}, product {pen}: 0 sold, 1 ordered",
    ),
    Damage(
        "returns_are_cancelled_items",
        """
        INSERT INTO stock_movement (product_id, reason, quantity, order_id, created_at)
        VALUES ({pen}, 'RETURN', 1, {last}, '2020-01-01');
        UPDATE product SET stock = stock + 1 WHERE id = {pen}
        """,
        "order {last}, product {pen}: 1 returned, 0 cancelled",
    ),
    Damage(
        "returns_are_cancelled_items",
        """
        ALTER TABLE stock_movement DISABLE TRIGGER stock_movement_is_append_only;
        UPDATE stock_movement SET reason = 'ADJUSTMENT', order_id = NULL
        WHERE reason = 'RETURN' AND product_id = {pen}
        """,
        "order {cancelled}, product {pen}: 0 returned, 1 cancelled",
    ),
    Damage(
        "issued_count_is_its_holders",
        """
        UPDATE coupon SET issued_count = 3 WHERE id = {coupon}
        """,
        "coupon {coupon}: count 3, holders 2",
    ),
    Damage(
        "issued_within_total",
        """
        ALTER TABLE coupon DROP CONSTRAINT coupon_issued_within_total;
        UPDATE coupon SET total_quantity = 1 WHERE id = {coupon}
        """,
        "coupon {coupon}: 2 of 1 issued",
    ),
    Damage(
        "one_coupon_per_user",
        """
        ALTER TABLE user_coupon DROP CONSTRAINT user_coupon_one_per_user;
        INSERT INTO user_coupon (user_id, coupon_id, status, issued_at, expires_at)
        SELECT user_id, coupon_id, 'AVAILABLE', '2020-01-01', expires_at FROM user_coupon WHERE id = {held};
        UPDATE coupon SET issued_count = 3 WHERE id = {coupon}
        """,
        "coupon {coupon}, user {mina}: 2 units",
    ),
    Damage(
        "used_coupon_has_its_one_order",
        """
        UPDATE user_coupon SET status = 'AVAILABLE', used_at = NULL WHERE id = {held}
        """,
        "user coupon {held}: AVAILABLE with 1 live orders",
    ),
    Damage(
        "used_coupon_has_its_one_order",
        """
        UPDATE user_coupon SET status = 'USED', used_at = now() WHERE user_id = {joon}
        """,
        "user coupon {other_held}: USED with 0 live orders",
    ),
    Damage(
        "coupon_is_used_by_its_owner",
        """
        ALTER TABLE user_coupon DROP CONSTRAINT user_coupon_one_per_user;
        UPDATE user_coupon SET user_id = CASE user_id WHEN {mina} THEN {joon} ELSE {mina} END
        """,
        "order {with_coupon}: user {mina} with a coupon of user {joon}",
    ),
    Damage(
        "events_have_facts",
        """
        INSERT INTO outbox_message (event_id, type, aggregate_type, aggregate_id, destination, payload, sent_at)
        VALUES ('order-cancelled:{last}', 'order-cancelled', 'order', '{mina}', 'kafka', '', now())
        """,
        "outbox message {new_message}: order-cancelled:{last} never happened",
    ),
    Damage(
        "events_have_facts",
        """
        INSERT INTO processed_event (event_id) VALUES ('order-completed:999999')
        """,
        "processed event: order-completed:999999 never happened",
    ),
    Damage(
        "facts_have_messages",
        """
        DELETE FROM outbox_message WHERE event_id LIKE 'order-cancelled:{cancelled}:%%' AND destination = 'kafka'
        """,
        "event order-cancelled:{cancelled}:",
    ),
    Damage(
        "facts_have_messages",
        """
        DELETE FROM outbox_message WHERE event_id LIKE 'balance-changed:{last_payment}:%%'
        """,
        "event balance-changed:{last_payment}:",
    ),
    Damage(
        "facts_have_messages",
        """
        DELETE FROM outbox_message WHERE event_id LIKE 'coupon-issued:{other_held}:%%'
        """,
        "event coupon-issued:{other_held}:",
    ),
    Damage(
        "one_message_per_destination",
        """
        INSERT INTO outbox_message (event_id, type, aggregate_type, aggregate_id, destination, payload, sent_at)
        SELECT event_id, type, aggregate_type, aggregate_id, destination, payload, sent_at
        FROM outbox_message
        WHERE event_id LIKE 'order-completed:{last}:%%' AND destination = 'kafka'
        """,
        "event order-completed:{last}:",
    ),
    Damage(
        "webhooks_have_subscriptions",
        """
        INSERT INTO outbox_message
            (event_id, type, aggregate_type, aggregate_id, destination, payload, sent_at, subscription_id)
        SELECT event_id, type, aggregate_type, aggregate_id, 'webhooks', payload, sent_at, 999999
        FROM outbox_message
        WHERE event_id LIKE 'order-completed:{last}:%%' AND destination = 'kafka'
        """,
        "outbox message {new_message}: order-completed:{last}:",
    ),
    Damage(
        "webhooks_have_subscriptions",
        """
        INSERT INTO outbox_message (event_id, type, aggregate_type, aggregate_id, destination, payload, sent_at)
        SELECT event_id, type, aggregate_type, aggregate_id, 'webhooks', payload, sent_at
        FROM outbox_message
        WHERE event_id LIKE 'order-completed:{last}:%%' AND destination = 'kafka'
        """,
        "outbox message {new_message}: order-completed:{last}:",
    ),
    Damage(
        "nothing_is_pending",
        """
        UPDATE outbox_message SET sent_at = NULL WHERE id = {newest_message}
        """,
        "outbox message {newest_message}: ",
    ),
    Damage(
        "statistics_are_counted_orders",
        """
        UPDATE product_stat SET quantity_sold = quantity_sold + 1 WHERE product_id = {pen}
        """,
        "product {pen} on {today}: 4 counted, 3 sold",
    ),
    Damage(
        "statistics_are_counted_orders",
        """
        DELETE FROM product_stat WHERE product_id = {pen}
        """,
        "product {pen} on {today}: 0 counted, 3 sold",
    ),
    Damage(
        "statistics_are_counted_orders",
        """
        INSERT INTO product_stat (product_id, date, quantity_sold) VALUES ({pen}, '2020-01-01', 1)
        """,
        "product {pen} on 2020-01-01: 1 counted, 0 sold",
    ),
    Damage(
        "orders_are_counted",
        """
        DELETE FROM processed_event WHERE event_id LIKE 'order-completed:{last}:%%';
        UPDATE product_stat SET quantity_sold = quantity_sold - 1 WHERE product_id = {pen}
        """,
        "event order-completed:{last}:",
    ),
    Damage(
        "orders_are_counted",
        """
        DELETE FROM processed_event WHERE event_id LIKE 'order-cancelled:{cancelled}:%%';
        UPDATE product_stat SET quantity_sold = quantity_sold + cancelled.quantity
        FROM order_item AS cancelled
        WHERE cancelled.order_id = {cancelled} AND cancelled.product_id = product_stat.product_id
        """,
        "event order-cancelled:{cancelled}:",
    ),
    Damage(
        "orders_are_counted",
        """
        DELETE FROM processed_event WHERE event_id LIKE 'order-refunded:{damaged}:%%';
        UPDATE product_stat SET quantity_sold = quantity_sold + 1 WHERE product_id = {chair}
        """,
        "event order-refunded:{damaged}:",
    ),
    Damage(
        "facts_have_messages",
        """
        DELETE FROM outbox_message WHERE event_id LIKE 'order-refunded:{damaged}:%%' AND destination = 'kafka'
        """,
        "event order-refunded:{damaged}:",
    ),
    Damage(
        "statistics_are_counted_orders",
        """
        UPDATE product_stat SET quantity_sold = quantity_sold + 1 WHERE product_id = {chair}
        """,
        "product {chair} on {today}: 2 counted, 1 sold",
    ),
)
