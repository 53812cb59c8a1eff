"""The lines of writes: charges, issues of one hot coupon, orders."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

from benchmarks.bench import Bench
from benchmarks.books import Expected
from benchmarks.line import Goal, Line
from benchmarks.naive import tables as naive_tables
from benchmarks.sample import Sample

PGBENCH = "pgbench, statement by statement"
_HOT_UNITS = 1_000_000


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
    """No caller holds the coupon yet: each measurement uses a new coupon."""
    coupon = bench.new_hot_coupon(units=_HOT_UNITS)
    load = replace(bench.load(bench.shop.web.port, "issue", connections, {"BENCH_COUPON": str(coupon)}), once=True)
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


def lines() -> Sequence[Line]:
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
    return [*charges, *issues, *orders]
