-- One unit of one hot coupon, statement by statement. The hot row first, as the check of the units left requires.
-- Each caller once: `counter` goes on from transaction to transaction of a client, `run` differs from run to run.
\set counter :counter + 1
\set account :run * 1000000000 + :client_id * 10000000 + :counter
\set key random(1, 9000000000000000000)
BEGIN;
UPDATE bench.coupon SET issued = issued + 1 WHERE id = 1 AND issued < total;
INSERT INTO bench.user_coupon (coupon_id, account_id) VALUES (1, :account);
INSERT INTO bench.outbox (type, key, payload) VALUES ('coupon-issued', :account, repeat('x', 400));
INSERT INTO bench.idempotency (account_id, key, status, body) VALUES (:account, :key, 200, repeat('x', 200));
COMMIT;
