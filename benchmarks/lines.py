"""The lines of the table, in its order.

Owns what is asked on each line and its goal; the measuring is the bench's.
"""

from collections.abc import Sequence
from functools import partial

from benchmarks import refusals
from benchmarks.bench import Bench
from benchmarks.books import Expected
from benchmarks.line import Goal, Line, Sample
from benchmarks.naive import tables as naive_tables

PGBENCH = "pgbench, statement by statement"
BARE_BYTES = "bare Django view, same bytes"
_HOT_UNITS = 1_000_000


# --- Reads ------------------------------------------------------------------------------------------------------------


def read_shop(bench: Bench, *, key: str, path: str, connections: int, ids: bool = False) -> Sample:
    settings = {"BENCH_PATH": path, **({"BENCH_IDS": str(bench.sizes.products)} if ids else {})}
    return bench.measure_shop(key, bench.load(bench.shop.web.port, "get", connections, settings))


def read_naive(bench: Bench, *, key: str, path: str, connections: int, ids: bool = False) -> Sample:
    settings = {"BENCH_PATH": path, **({"BENCH_IDS": str(bench.sizes.products)} if ids else {})}
    return bench.measure_beside(key, bench.naive, bench.load(bench.naive.port, "get", connections, settings))


def read_bare(bench: Bench, *, key: str, name: str, path: str, connections: int) -> Sample:
    """The same bytes from a view that has them in memory."""
    bench.keep_body(name, bench.shop.web.call("GET", path).body)
    load = bench.load(bench.bare.port, "get", connections, {"BENCH_PATH": f"/fixed/{name}"})
    return bench.measure_beside(key, bench.bare, load)


def balance_shop(bench: Bench, *, connections: int) -> Sample:
    return bench.measure_shop("balance", bench.load(bench.shop.web.port, "balance", connections))


def balance_naive(bench: Bench, *, connections: int) -> Sample:
    return bench.measure_beside("balance", bench.naive, bench.load(bench.naive.port, "balance", connections))


def balance_bare(bench: Bench, *, connections: int) -> Sample:
    bench.keep_body("ready", b"ready")
    settings = {"BENCH_PATH": "/balance/{id}", "BENCH_IDS": str(bench.sizes.customers)}
    return bench.measure_beside("balance", bench.bare, bench.load(bench.bare.port, "get", connections, settings))


# --- Writes -----------------------------------------------------------------------------------------------------------


def charge_shop(bench: Bench, *, connections: int) -> Sample:
    load = bench.load(bench.shop.web.port, "charge", connections)
    expected = Expected(effect="charge", key=load.key, status=200, connections=connections)
    return bench.measure_shop(f"charge:{connections}", load, expected)


def charge_naive(bench: Bench, *, connections: int) -> Sample:
    return bench.measure_beside("charge", bench.naive, bench.load(bench.naive.port, "charge", connections))


def order_shop(bench: Bench, *, key: str, connections: int, coupon: bool = False, hot: bool = False) -> Sample:
    load = bench.load(bench.shop.web.port, "order", connections, _order_settings(bench, coupon=coupon, hot=hot))
    if coupon:
        load = bench.coupon_holders(load)
    expected = Expected(effect="order", key=load.key, status=200, connections=connections, items=1 if hot else 2)
    sample = bench.measure_shop(key, load, expected)
    if coupon:
        bench.spend_coupons(sample.requests, connections)
    return sample


def order_naive(bench: Bench, *, key: str, connections: int, coupon: bool = False, hot: bool = False) -> Sample:
    load = bench.load(bench.naive.port, "order", connections, _order_settings(bench, coupon=coupon, hot=hot))
    return bench.measure_beside(key, bench.naive, load)


def _order_settings(bench: Bench, *, coupon: bool, hot: bool) -> dict[str, str]:
    return {
        "BENCH_PRODUCTS": str(bench.sizes.products),
        **({"BENCH_PRODUCT": str(bench.sizes.hot_product)} if hot else {}),
        **({"BENCH_COUPON": "yes"} if coupon else {}),
    }


def issue_shop(bench: Bench, *, key: str, connections: int) -> Sample:
    """Each caller is new to the coupon: a coupon of its own for every measurement."""
    coupon = bench.new_hot_coupon(units=_HOT_UNITS)
    load = bench.load(bench.shop.web.port, "issue", connections, {"BENCH_COUPON": str(coupon)})
    expected = Expected(effect="issue", key=load.key, status=200, connections=connections, coupon=coupon)
    return bench.measure_shop(key, load, expected)


def issue_naive(bench: Bench, *, key: str, connections: int) -> Sample:
    server = bench.naive
    coupon = naive_tables.new_coupon(bench.connection, units=_HOT_UNITS)
    return bench.measure_beside(
        key, server, bench.load(server.port, "issue", connections, {"BENCH_COUPON": str(coupon)})
    )


def written_by_pgbench(bench: Bench, *, script: str, clients: int) -> Sample:
    return bench.measure_pgbench(script, clients=clients)


# --- The table --------------------------------------------------------------------------------------------------------


def read_lines() -> Sequence[Line]:
    cached = (
        ("products", "cached product list", "/api/products", 0.8),
        ("popular", "popular products", "/api/products/popular", 0.8),
    )
    lines = [
        Line(
            key=f"{key}:16",
            title=f"{title}, 16",
            ours=partial(read_shop, key=key, path=path, connections=16),
            limit=partial(read_bare, key=key, name=key, path=path, connections=16),
            limit_title=BARE_BYTES,
            naive=partial(read_naive, key=key, path=path, connections=16) if key == "products" else None,
            goal=Goal(ratio_at_least=goal),
            writes=False,
        )
        for key, title, path, goal in cached
    ]
    product = Line(
        key="product:16",
        title="product by id, 16",
        ours=partial(read_shop, key="product", path="/api/products/{id}", connections=16, ids=True),
        limit=partial(read_bare, key="product", name="product", path="/api/products/1", connections=16),
        limit_title=BARE_BYTES,
        naive=partial(read_naive, key="product", path="/api/products/{id}", connections=16, ids=True),
        goal=Goal(ratio_at_least=0.5),
        writes=False,
    )
    balance = Line(
        key="balance:16",
        title="balance, 16",
        ours=partial(balance_shop, connections=16),
        limit=partial(balance_bare, connections=16),
        limit_title="bare Django view, one SELECT by primary key",
        naive=partial(balance_naive, connections=16),
        goal=Goal(ratio_at_least=0.6),
        writes=False,
    )
    return [*lines, product, balance]


def write_lines() -> Sequence[Line]:
    charges = [
        Line(
            key=f"charge:{connections}",
            title=f"charge, {connections}",
            ours=partial(charge_shop, connections=connections),
            limit=partial(written_by_pgbench, script="charge", clients=connections),
            limit_title=PGBENCH,
            naive=partial(charge_naive, connections=connections),
            goal=Goal(ratio_at_least=goal),
        )
        for connections, goal in ((16, 0.4), (64, 0.5))
    ]
    orders = [
        Line(
            key=f"{key}:{connections}",
            title=f"{title}, {connections}",
            ours=partial(order_shop, key=key, connections=connections, coupon=coupon, hot=hot),
            limit=partial(written_by_pgbench, script=script, clients=connections),
            limit_title=PGBENCH,
            naive=partial(order_naive, key=key, connections=connections, coupon=coupon, hot=hot),
            goal=Goal(ratio_at_least=goals[connections]),
        )
        for key, title, script, coupon, hot, goals in (
            ("order", "order of 2 items", "order", False, False, {16: 0.6, 64: 0.8}),
            ("order-coupon", "order of 2 items with a coupon", "order_coupon", True, False, {16: 0.6, 64: 0.8}),
            ("hot-product", "orders of one hot product", "hot_product", False, True, {16: 1.0, 64: 1.0}),
        )
        for connections in (16, 64)
    ]
    issues = [
        Line(
            key=f"issue:{connections}",
            title=f"issue of one hot coupon, {connections}",
            ours=partial(issue_shop, key=f"issue:{connections}", connections=connections),
            limit=partial(written_by_pgbench, script="issue", clients=connections),
            limit_title="pgbench, one hot row, statement by statement",
            naive=partial(issue_naive, key="issue", connections=connections) if connections <= 64 else None,
            goal=Goal(ratio_at_least=goal, p99_ms_at_most=100 if connections == 64 else None),
        )
        for connections, goal in ((16, 1.0), (64, 1.5), (1_000, 1.5))
    ]
    return [*charges, *issues, *orders, *refusals.lines()]


def all_lines() -> Sequence[Line]:
    return [*read_lines(), *write_lines()]
