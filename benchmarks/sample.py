"""The result of one measurement."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Sample:
    """One measurement.

    Attributes:
        value: the value of the line, in its unit.
        errors: failed connections and unexpected responses.
        cpu_us: processor time per request in microseconds, by part.
        notes: additional values for the results file.
    """

    value: float
    p50_ms: float = 0.0
    p95_ms: float = 0.0
    p99_ms: float = 0.0
    requests: int = 0
    errors: int = 0
    cpu_us: Mapping[str, float] = field(default_factory=dict)
    notes: Mapping[str, Any] = field(default_factory=dict)
