"""A single client: the duration of one charge and one order, compared with the usual implementation."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

from benchmarks import lines_of_writes as writes
from benchmarks.bench import Bench
from benchmarks.line import Goal, Line
from benchmarks.sample import Sample


def median_wait(bench: Bench, *, side: Callable[[Bench], Sample]) -> Sample:
    """The same measurement, with the median response time as its value."""
    sample = side(bench)
    return replace(sample, value=sample.p50_ms, notes={**sample.notes, "per_second": round(sample.value, 1)})


def lines() -> Sequence[Line]:
    """Must not be slower than an implementation that does less."""
    sides = {
        "charge": (partial(writes.charge_shop, connections=1), partial(writes.charge_naive, connections=1)),
        "order": (
            partial(writes.order_shop, key="alone:order", connections=1),
            partial(writes.order_naive, key="alone:order", connections=1),
        ),
    }
    return [
        Line(
            key=f"alone:{name}",
            title=f"{name}, one client alone, p50",
            unit="ms",
            ours=partial(median_wait, side=ours),
            naive=partial(median_wait, side=naive),
            goal=Goal(ratio_at_most=1.0),
            against_naive=True,
        )
        for name, (ours, naive) in sides.items()
    ]
