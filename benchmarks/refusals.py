"""The lines of refusals: sold out, and already issued."""

from collections.abc import Callable, Sequence
from functools import partial

from benchmarks import dataset
from benchmarks.bench import Bench
from benchmarks.books import Expected
from benchmarks.line import Goal, Line
from benchmarks.sample import Sample
from benchmarks.wrk import Load


def sold_out_order(bench: Bench) -> Load:
    settings = {"BENCH_PRODUCT": str(bench.sizes.sold_out_product)}
    return bench.load(bench.shop.web.port, "order", 16, settings)


def sold_out_coupon(bench: Bench) -> Load:
    coupon = dataset.new_coupon(bench.connection, units=1)
    bench.connection.execute(
        "INSERT INTO user_coupon (user_id, coupon_id, status, issued_at, expires_at)"
        " VALUES (%s, %s, 'AVAILABLE', now() - interval '1 day', now() + interval '2 days')",
        [bench.sizes.customers, coupon],
    )
    bench.connection.execute("UPDATE coupon SET issued_count = 1 WHERE id = %s", [coupon])
    load = bench.load(bench.shop.web.port, "issue", 16, {"BENCH_COUPON": str(coupon)})
    return load.by(customers=bench.sizes.customers - 1)


def issued_already(bench: Bench) -> Load:
    """Every caller already holds the coupon; there are units left."""
    customers = min(5_000, bench.sizes.customers)
    coupon = dataset.held_coupon(bench.connection, customers=customers, units=2 * customers)
    return bench.load(bench.shop.web.port, "issue", 16, {"BENCH_COUPON": str(coupon)}).by(customers=customers)


def refused_by_shop(bench: Bench, *, key: str, code: str, load_of: Callable[[Bench], Load]) -> Sample:
    load = load_of(bench)
    expected = Expected(effect="refusal", key=load.key, status=400, code=code, connections=load.connections)
    return bench.measure_shop(key, load, expected)


def bare_view(bench: Bench, *, key: str, body: bytes) -> Sample:
    bench.keep_body(key, body)
    load = bench.load(bench.bare.port, "get", 16, {"BENCH_PATH": f"/fixed/{key}"})
    return bench.measure_beside(key, bench.bare, load)


def lines() -> Sequence[Line]:
    """Compared with a bare view whose response has the size of a problem document."""
    body = b'{"type":"about:blank","title":"","status":400,"detail":"","code":""}'.ljust(300)
    return [
        Line(
            key=f"{key}:16",
            title=f"{title}, 16",
            ours=partial(refused_by_shop, key=key, code=code, load_of=load_of),
            limit=partial(bare_view, key=key, body=body),
            limit_title="bare Django view",
            goal=Goal(ratio_at_least=0.25),
        )
        for key, title, code, load_of in (
            ("sold-out", "order of a sold-out product", "out_of_stock", sold_out_order),
            ("sold-out-coupon", "issue of a sold-out coupon", "coupon_sold_out", sold_out_coupon),
            ("already-issued", "issue of a coupon held already", "coupon_already_issued", issued_already),
        )
    ]
