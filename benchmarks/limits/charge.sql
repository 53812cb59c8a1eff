-- A charge, statement by statement: what must be read and written for it, and nothing else.
\set account random(1, :customers)
\set key random(1, 9000000000000000000)
BEGIN;
UPDATE bench.account SET balance = balance + 1000 WHERE id = :account RETURNING balance AS balance \gset
INSERT INTO bench.ledger (account_id, type, amount, balance_after) VALUES (:account, 'CHARGE', 1000, :balance);
INSERT INTO bench.outbox (type, key, payload) VALUES ('balance-changed', :account, repeat('x', 400));
INSERT INTO bench.idempotency (account_id, key, status, body) VALUES (:account, :key, 200, repeat('x', 200));
COMMIT;
