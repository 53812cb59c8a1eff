-- An order of one unit of the one hot product, statement by statement.
\set account random(1, :customers)
\set key random(1, 9000000000000000000)
BEGIN;
UPDATE bench.product SET stock = stock - 1 WHERE id = :product AND stock >= 1;
INSERT INTO bench.purchase (account_id, total, discount) VALUES (:account, 1000, 0) RETURNING id AS purchase \gset
INSERT INTO bench.item (order_id, product_id, price, quantity) VALUES (:purchase, :product, 1000, 1);
INSERT INTO bench.movement (product_id, order_id, quantity) VALUES (:product, :purchase, -1);
UPDATE bench.account SET balance = balance - 1000 WHERE id = :account AND balance >= 1000 RETURNING balance AS balance \gset
INSERT INTO bench.ledger (account_id, type, amount, balance_after) VALUES (:account, 'PAYMENT', -1000, :balance);
INSERT INTO bench.outbox (type, key, payload) VALUES ('balance-changed', :account, repeat('x', 400));
INSERT INTO bench.outbox (type, key, payload) VALUES ('order-completed', :account, repeat('x', 700));
INSERT INTO bench.idempotency (account_id, key, status, body) VALUES (:account, :key, 200, repeat('x', 500));
COMMIT;
