-- An order of two products, statement by statement. Lower product first, or two orders would wait for each other.
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
INSERT INTO bench.purchase (account_id, total, discount) VALUES (:account, 2000, 0) RETURNING id AS purchase \gset
INSERT INTO bench.item (order_id, product_id, price, quantity) VALUES (:purchase, :first, 1000, 1);
INSERT INTO bench.item (order_id, product_id, price, quantity) VALUES (:purchase, :second, 1000, 1);
INSERT INTO bench.movement (product_id, order_id, quantity) VALUES (:first, :purchase, -1);
INSERT INTO bench.movement (product_id, order_id, quantity) VALUES (:second, :purchase, -1);
UPDATE bench.account SET balance = balance - 2000 WHERE id = :account AND balance >= 2000 RETURNING balance AS balance \gset
INSERT INTO bench.ledger (account_id, type, amount, balance_after) VALUES (:account, 'PAYMENT', -2000, :balance);
INSERT INTO bench.outbox (type, key, payload) VALUES ('balance-changed', :account, repeat('x', 400));
INSERT INTO bench.outbox (type, key, payload) VALUES ('order-completed', :account, repeat('x', 900));
INSERT INTO bench.idempotency (account_id, key, status, body) VALUES (:account, :key, 200, repeat('x', 600));
COMMIT;
