"""The types of a line of the table, of its goal and of its results."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from benchmarks.bench import Bench
from benchmarks.figures import median, ratio, spread
from benchmarks.sample import Sample


@dataclass(frozen=True, kw_only=True)
class Goal:
    """The goal of a line. All given bounds must hold, and no request may have been refused because of overload.

    `ratio_*` bounds the ratio to the limit, `value_*` the value itself, `p99_ms` the 99th percentile.
    """

    ratio_at_least: float | None = None
    ratio_at_most: float | None = None
    value_at_least: float | None = None
    value_at_most: float | None = None
    p99_ms_at_most: float | None = None

    def __str__(self) -> str:
        bounds = (
            ("≥ {:g}", self.ratio_at_least),
            ("≤ {:g}", self.ratio_at_most),
            ("≥ {:,.0f}", self.value_at_least),
            ("≤ {:,.0f}", self.value_at_most),
            ("p99 ≤ {:g} ms", self.p99_ms_at_most),
        )
        return ", ".join(form.format(bound) for form, bound in bounds if bound is not None)

    def reached(self, outcome: "Outcome") -> bool:
        """Whether all bounds hold. A bound of the ratio does not hold without a limit."""
        value, share = outcome.ours_value, outcome.ratio
        checks = (
            (self.ratio_at_least, share is not None and share >= (self.ratio_at_least or 0)),
            (self.ratio_at_most, share is not None and share <= (self.ratio_at_most or 0)),
            (self.value_at_least, value >= (self.value_at_least or 0)),
            (self.value_at_most, value <= (self.value_at_most or 0)),
            (self.p99_ms_at_most, outcome.p99_ms <= (self.p99_ms_at_most or 0)),
        )
        return not outcome.errors and all(holds for bound, holds in checks if bound is not None)


Side = Callable[[Bench], Sample]


@dataclass(frozen=True, kw_only=True)
class Line:
    """One line of the table.

    Attributes:
        key: its name in the results file and for `--line`; the part before the first `:` is the family.
        limit_title: a description of the limit.
        against_naive: the ratio is to the usual implementation, not to the limit.
        writes: whether the invariants are checked after it.
        rounds_at_most: how often it can be measured in one run.
        full_only: left out of a quick run.
    """

    key: str
    title: str
    ours: Side
    unit: str = "/s"
    goal: Goal | None = None
    limit: Side | None = None
    limit_title: str = ""
    naive: Side | None = None
    against_naive: bool = False
    writes: bool = True
    rounds_at_most: int = 100
    full_only: bool = False

    @property
    def family(self) -> str:
        return self.key.partition(":")[0]


@dataclass(kw_only=True)
class Outcome:
    """All measurements of one line."""

    line: Line
    ours: list[Sample] = field(default_factory=list)
    limit: list[Sample] = field(default_factory=list)
    naive: list[Sample] = field(default_factory=list)

    @property
    def ours_value(self) -> float:
        return median([sample.value for sample in self.ours])

    @property
    def limit_value(self) -> float:
        return median([sample.value for sample in self.limit])

    @property
    def naive_value(self) -> float:
        return median([sample.value for sample in self.naive])

    @property
    def ratio(self) -> float | None:
        """Ours divided by the limit, or by the usual implementation; the median of the ratios of the rounds.

        Both parts of a round are measured in the same minute, so other load on the machine slows both.
        """
        beside = self.naive if self.line.against_naive else self.limit
        shares = [ratio(ours.value, other.value) for ours, other in zip(self.ours, beside, strict=False)]
        known = [share for share in shares if share is not None]
        return median(known) if known else None

    @property
    def errors(self) -> int:
        """The number of our requests with an unexpected response, in all rounds."""
        return sum(sample.errors for sample in self.ours)

    @property
    def p99_ms(self) -> float:
        return median([sample.p99_ms for sample in self.ours])

    @property
    def reached(self) -> bool | None:
        """None if the line has no goal."""
        return self.line.goal.reached(self) if self.line.goal else None

    def as_json(self) -> dict[str, Any]:
        """The entry of the results file."""
        return {
            "line": self.line.key,
            "title": self.line.title,
            "unit": self.line.unit,
            "ours": round(self.ours_value, 2),
            "limit": round(self.limit_value, 2) if self.limit else None,
            "limit_is": self.line.limit_title or None,
            "ratio": None if self.ratio is None else round(self.ratio, 3),
            "ratio_to": "naive" if self.line.against_naive else "limit",
            "goal": str(self.line.goal) if self.line.goal else None,
            "reached": self.reached,
            "naive": round(self.naive_value, 2) if self.naive else None,
            "spread": {
                name: round(spread([sample.value for sample in samples]), 3)
                for name, samples in (("ours", self.ours), ("limit", self.limit), ("naive", self.naive))
                if samples
            },
            **latencies(self.ours),
            "errors": self.errors,
            "requests": sum(sample.requests for sample in self.ours),
            "cpu_us": medians_by_name([sample.cpu_us for sample in self.ours]),
            "naive_cpu_us": medians_by_name([sample.cpu_us for sample in self.naive]),
            "limit_cpu_us": medians_by_name([sample.cpu_us for sample in self.limit]),
            "limit_latency": latencies(self.limit) if self.limit else None,
            "naive_latency": latencies(self.naive) if self.naive else None,
            "rounds": {
                "ours": [round(sample.value, 2) for sample in self.ours],
                "limit": [round(sample.value, 2) for sample in self.limit],
                "naive": [round(sample.value, 2) for sample in self.naive],
            },
            "notes": [dict(sample.notes) for sample in self.ours if sample.notes],
        }


def latencies(samples: Sequence[Sample]) -> dict[str, float]:
    """The medians of the percentiles, in milliseconds."""
    return {
        "p50_ms": round(median([sample.p50_ms for sample in samples]), 2),
        "p95_ms": round(median([sample.p95_ms for sample in samples]), 2),
        "p99_ms": round(median([sample.p99_ms for sample in samples]), 2),
    }


def medians_by_name(readings: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """The median of each name over all readings that have it."""
    names = dict.fromkeys(name for reading in readings for name in reading)
    return {name: round(median([reading[name] for reading in readings if name in reading]), 1) for name in names}
