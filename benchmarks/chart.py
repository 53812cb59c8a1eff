"""The chart of the README: each line's share of its limit, as SVG. It is drawn from the entries of the results file."""

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

WIDTH, LABELS, RIGHT = 900, 290, 150
ROW, TOP, BOTTOM = 34, 66, 30
MOST = 2.0
"""The share at which bars are cut off; the number beside the bar is exact."""
_OURS, _USUAL, _GOAL, _TEXT, _QUIET, _GRID = "#2563eb", "#b6bcc6", "#dc2626", "#1f2937", "#6b7280", "#e5e7eb"


def drawn(lines: Sequence[Mapping[str, Any]], *, subtitle: str) -> str:
    """The chart of the lines that count requests per second and have a limit."""
    shown = [line for line in lines if line["limit"] and line["ratio"] is not None and line["unit"] == "/s"]
    height = TOP + ROW * len(shown) + BOTTOM
    size = f'viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}"'
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} font-family="system-ui, sans-serif" font-size="13">',
        f'<rect width="{WIDTH}" height="{height}" fill="#ffffff"/>',
        _text(16, 24, "Share of the limit on the same servers", size=16, weight="600"),
        _text(16, 44, subtitle, colour=_QUIET),
        *_grid(height),
        *(part for place, line in enumerate(shown) for part in _row(line, TOP + ROW * place)),
        *_legend(height),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def _row(line: Mapping[str, Any], top: float) -> list[str]:
    parts = [_text(LABELS - 10, top + 19, line["title"], anchor="end")]
    parts.append(_bar(top + 5, line["ratio"], 13, _OURS))
    if line["naive"]:
        parts.append(_bar(top + 20, line["naive"] / line["limit"], 7, _USUAL))
    goal = _goal(line["goal"])
    if goal is not None:
        x = _x(min(goal, MOST))
        parts.append(
            f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{top + 2}" y2="{top + 29}" stroke="{_GOAL}" stroke-width="2"/>'
        )
    figure = f"{line['ours']:,.0f}{line['unit']} · {line['ratio']:.2f}"
    parts.append(_text(_x(MOST) + 10, top + 19, figure))
    return parts


def _grid(height: float) -> list[str]:
    parts = []
    for tenth in range(0, int(MOST * 10) + 1, 5):
        x = _x(tenth / 10)
        parts.append(f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{TOP}" y2="{height - BOTTOM}" stroke="{_GRID}"/>')
        parts.append(_text(x, TOP - 6, f"{tenth / 10:g}", colour=_QUIET, anchor="middle"))
    return parts


def _legend(height: float) -> list[str]:
    y = height - 10
    parts, x = [], float(LABELS)
    for colour, name in ((_OURS, "the shop"), (_USUAL, "a usual implementation"), (_GOAL, "goal")):
        parts.append(f'<rect x="{x}" y="{y - 10}" width="12" height="10" fill="{colour}"/>')
        parts.append(_text(x + 18, y, name, colour=_QUIET))
        x += 40 + 7.2 * len(name)
    return parts


def _bar(y: float, share: float, height: float, colour: str) -> str:
    width = max(1.0, _x(min(share, MOST)) - LABELS)
    return f'<rect x="{LABELS}" y="{y}" width="{width:.1f}" height="{height}" rx="2" fill="{colour}"/>'


def _x(share: float) -> float:
    return LABELS + share / MOST * (WIDTH - LABELS - RIGHT)


def _goal(text: str | None) -> float | None:
    """The bound of the ratio in a goal's text, or None."""
    first = (text or "").split(",")[0]
    return float(first[2:]) if first.startswith("≥ ") else None


def _text(
    x: float, y: float, text: str, *, colour: str = _TEXT, anchor: str = "start", size: int = 13, weight: str = "400"
) -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" fill="{colour}" text-anchor="{anchor}" font-size="{size}" '
        f'font-weight="{weight}">{escape(text)}</text>'
    )
