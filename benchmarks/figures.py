"""The arithmetic of the table: percentiles, medians, spreads, ratios.

Never measures.
"""

import math
import statistics
from collections.abc import Iterable, Sequence


def percentile(values: Iterable[float], percent: float) -> float:
    """The nearest-rank percentile; 0 of nothing."""
    ordered = sorted(values)
    if not ordered:
        return 0.0
    return ordered[max(0, math.ceil(len(ordered) * percent / 100) - 1)]


def median(values: Sequence[float]) -> float:
    """The median; 0 of nothing."""
    return statistics.median(values) if values else 0.0


def spread(values: Sequence[float]) -> float:
    """Highest less lowest, as a share of the median: 0.1 is ±5 %. 0 of fewer than two."""
    middle = median(values)
    return (max(values) - min(values)) / middle if len(values) > 1 and middle else 0.0


def ratio(ours: float, limit: float) -> float | None:
    """Ours by the limit's; None where there is no limit."""
    return ours / limit if limit else None
