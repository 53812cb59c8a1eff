"""Formats the table at the end of a run."""

from collections.abc import Sequence

from benchmarks.line import Outcome

_HEADINGS = (
    *("line", "ours", "limit", "ratio", "goal", "", "usual", "p50", "p95", "p99 ms"),
    *("errors", "app", "pg", "redis µs"),
)


def row(outcome: Outcome) -> list[str]:
    """The cells of one line."""
    row = outcome.as_json()
    cpu = row["cpu_us"]
    ratio = "" if row["ratio"] is None else f"{row['ratio']:.2f}"
    return [
        outcome.line.title,
        figure(outcome.ours_value, outcome.line.unit),
        figure(outcome.limit_value, outcome.line.unit) if outcome.limit else "",
        ratio,
        row["goal"] or "",
        {True: "yes", False: "no", None: ""}[row["reached"]],
        figure(outcome.naive_value, outcome.line.unit) if outcome.naive else "",
        *(f"{row[name]:.1f}" if row[name] else "" for name in ("p50_ms", "p95_ms", "p99_ms")),
        str(row["errors"]),
        *(f"{cpu[name]:,.0f}" if name in cpu else "" for name in ("app", "postgres", "redis")),
    ]


def table(outcomes: Sequence[Outcome]) -> str:
    """All lines, in columns. A ratio to the usual implementation is marked `u`."""
    rows = [list(_HEADINGS), *(row(outcome) for outcome in outcomes)]
    for cells, outcome in zip(rows[1:], outcomes, strict=True):
        if outcome.line.against_naive and cells[3]:
            cells[3] += "u"
    widths = [max(len(cells[column]) for cells in rows) for column in range(len(_HEADINGS))]
    return "\n".join(_aligned(cells, widths) for cells in rows)


def figure(value: float, unit: str) -> str:
    """A number with its unit, and with significant digits only."""
    text = f"{value:,.0f}" if value >= 100 else f"{value:,.1f}"
    return f"{text}{unit}" if unit.startswith("/") else f"{text} {unit}"


def _aligned(cells: Sequence[str], widths: Sequence[int]) -> str:
    # The title is left-aligned, numbers are right-aligned.
    first, *others = (
        cell.ljust(width) if column in (0, 4, 5) else cell.rjust(width)
        for column, (cell, width) in enumerate(zip(cells, widths, strict=True))
    )
    return "  ".join([first, *others]).rstrip()
