// A customer's day, written against the generated types: what does not fit them, the compiler refuses.
import assert from "node:assert/strict";
import createClient from "openapi-fetch";
import type { components, paths } from "./schema.js";

const shop = createClient<paths>({ baseUrl: process.env.SHOP! });

const login = await shop.POST("/api/auth/token", { body: { username: "customer1", password: "customer" } });
assert.ok(login.data);
const headers = { Authorization: `Bearer ${login.data.access}` };

const key = { "Idempotency-Key": "typescript" };
const charge = () => shop.POST("/api/balance/charge", { headers, params: { header: key }, body: { amount: 5000 } });
const first = await charge();
const again = await charge();
assert.deepEqual(again.data, first.data);
assert.equal(again.response.headers.get("Idempotent-Replayed"), "true");

const products = await shop.GET("/api/products", { params: { query: { inStock: true, ordering: "price" } } });
const pen = products.data?.results[0];
assert.ok(pen);

const placed = await shop.POST("/api/orders", { headers, body: { items: [{ productId: pen.id, quantity: 2 }] } });
assert.ok(placed.data);
const order: components["schemas"]["Order"] = placed.data;
assert.equal(order.paidAmount, 2 * pen.price);

// The code of a problem decides which fields it has.
const refused = await shop.POST("/api/orders", { headers, body: { items: [{ productId: pen.id, quantity: 1000 }] } });
assert.equal(refused.error?.code, "out_of_stock");
const short = refused.error as components["schemas"]["OutOfStockProblem"];
assert.equal(short.items[0]?.available, 8);

const cancelled = await shop.POST("/api/orders/{orderId}/cancel", { headers, params: { path: { orderId: order.id } } });
assert.equal(cancelled.data?.status, "CANCELLED");

const ledger = await shop.GET("/api/users/balance/history", { headers, params: { query: { type: "REFUND" } } });
console.log(JSON.stringify({ refunds: ledger.data?.results.map((entry) => entry.amount) }));

// @ts-expect-error: text is no number.
void (() => shop.POST("/api/balance/charge", { headers, body: { amount: "1" } }));
// @ts-expect-error: no such status.
void (() => shop.GET("/api/users/orders", { headers, params: { query: { status: "LOST" } } }));
