"""Percentiles, medians, spreads and ratios."""

import math
import statistics
from collections.abc import Iterable, Sequence


def percentile(values: Iterable[float], percent: float) -> float:
    """The nearest-rank percentile; 0 for no values."""
    ordered = sorted(values)
    if not ordered:
        return 0.0
    return ordered[max(0, math.ceil(len(ordered) * percent / 100) - 1)]


def median(values: Sequence[float]) -> float:
    """The median; 0 for no values."""
    return statistics.median(values) if values else 0.0


def spread(values: Sequence[float]) -> float:
    """Highest minus lowest value as a share of the median: 0.1 is ±5 %. 0 for fewer than two values."""
    middle = median(values)
    return (max(values) - min(values)) / middle if len(values) > 1 and middle else 0.0


def ratio(ours: float, limit: float) -> float | None:
    """Ours divided by the limit; None without a limit."""
    return ours / limit if limit else None
