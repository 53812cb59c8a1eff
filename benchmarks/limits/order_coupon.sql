-- An order of two products with a coupon, statement by statement; a coupon that was used is used again.
\set account random(1, :customers)
\set one random(1, :products)
\set other random(1, :products - 1)
\set other (:one + :other - 1) % :products + 1
\set first least(:one, :other)
\set second greatest(:one, :other)
\set key random(1, 9000000000000000000)
BEGIN;
UPDATE bench.product SET stock = stock - 1 WHERE id = :first AND stock >= 1;
UPDATE bench.product SET stock = stock - 1 WHERE id = :second AND stock >= 1;
UPDATE bench.user_coupon SET status = 'USED' WHERE id = :account;
INSERT INTO bench.purchase (account_id, total, discount, user_coupon_id) VALUES (:account, 2000, 10, :account) RETURNING id AS purchase \gset
INSERT INTO bench.item (order_id, product_id, price, quantity) VALUES (:purchase, :first, 1000, 1);
INSERT INTO bench.item (order_id, product_id, price, quantity) VALUES (:purchase, :second, 1000, 1);
INSERT INTO bench.movement (product_id, order_id, quantity) VALUES (:first, :purchase, -1);
INSERT INTO bench.movement (product_id, order_id, quantity) VALUES (:second, :purchase, -1);
UPDATE bench.account SET balance = balance - 1990 WHERE id = :account AND balance >= 1990 RETURNING balance AS balance \gset
INSERT INTO bench.ledger (account_id, type, amount, balance_after) VALUES (:account, 'PAYMENT', -1990, :balance);
INSERT INTO bench.outbox (type, key, payload) VALUES ('balance-changed', :account, repeat('x', 400));
INSERT INTO bench.outbox (type, key, payload) VALUES ('order-completed', :account, repeat('x', 900));
INSERT INTO bench.idempotency (account_id, key, status, body) VALUES (:account, :key, 200, repeat('x', 600));
COMMIT;
