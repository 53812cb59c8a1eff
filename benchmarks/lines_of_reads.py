"""The lines of reads: cached lists, a product by its id, a balance."""

from collections.abc import Sequence
from functools import partial

from benchmarks.bench import Bench
from benchmarks.line import Goal, Line
from benchmarks.sample import Sample

BARE_BYTES = "bare Django view, same bytes"


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
    load = bench.load(bench.bare.port, "get", connections, settings)
    bench.warm(bench.bare, load)
    return bench.measure_beside("balance", bench.bare, load)


def lines() -> Sequence[Line]:
    cached = (
        ("products", "cached product list", "/api/products", 0.8),
        ("popular", "popular products", "/api/products/popular", 0.8),
    )
    cached_lines = [
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
    return [*cached_lines, product, balance]
