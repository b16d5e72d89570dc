"""Lines over a logarithmic axis: SVG that is drawn here, the same bytes for the same data."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape

from benchmarks.figures import Row

WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 860, 360, 70, 130, 44, 50  # pixels; the last four: edges
_COLOURS = ("#2f6fde", "#d9822b", "#3a9d5d")
_STYLE = (
    "text{font:13px system-ui,sans-serif;fill:#24292f}.title{font-weight:600}"
    ".axis{stroke:#a8b0ba;stroke-width:1}"
    "@media(prefers-color-scheme:dark){text{fill:#d5dae0}.axis{stroke:#6b737d}}"
)
Point = tuple[float, float]


def growth_plots(rows: Sequence[Row]) -> dict[str, str]:
    """Memory and time an item over the number of items; by the plot's name."""
    series: dict[str, list[Row]] = {}
    for row in rows:
        series.setdefault(row["grows"], []).append(row)

    def lines(field: str) -> dict[str, list[Point]]:
        return {name: [(r["items"], r[field]) for r in found] for name, found in series.items()}

    return {
        "growth-memory": plot("Largest resident set, MB, over items", lines("peak_mb")),
        "growth-time": plot("Time per item, ns, over items", lines("ns_per_item"), log_y=True),
    }


def plot(title: str, lines: Mapping[str, Sequence[Point]], log_y: bool = False) -> str:
    """One line a name; both axes begin at a round number."""
    points = [point for found in lines.values() for point in found]
    across = _Scale([x for x, _ in points], LEFT, WIDTH - RIGHT, True)
    up = _Scale([y for _, y in points], HEIGHT - BOTTOM, TOP, log_y)
    parts = [f'<text class="title" x="8" y="24">{escape(title)}</text>']
    for value in across.ticks():
        x = across(value)
        parts.append(_line(x, TOP, x, HEIGHT - BOTTOM))
        parts.append(_text(x, HEIGHT - BOTTOM + 20, short(value), "middle"))
    for value in up.ticks():
        y = up(value)
        parts.append(_line(LEFT, y, WIDTH - RIGHT, y))
        parts.append(_text(LEFT - 8, y + 4, short(value), "end"))
    for number, (name, found) in enumerate(lines.items()):
        parts.append(_series(name, found, across, up, number))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{HEIGHT}" '
        f'viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(title)}">'
        f"<style>{_STYLE}</style>\n" + "\n".join(parts) + "\n</svg>\n"
    )


class _Scale:
    """From values to pixels."""

    def __init__(self, values: Sequence[float], begin: float, end: float, log: bool) -> None:
        self._begin, self._end, self._log = begin, end, log
        self._low: float
        self._high: float
        if log:
            self._low = math.floor(math.log10(min(values)))
            self._high = max(self._low + 1, math.ceil(math.log10(max(values))))
        else:
            self._low, self._high = 0, 4 * _round_up(max(values) / 4)

    def __call__(self, value: float) -> float:
        at = math.log10(value) if self._log else value
        share = (at - self._low) / (self._high - self._low)
        return round(self._begin + share * (self._end - self._begin), 1)

    def ticks(self) -> list[float]:
        if self._log:
            return [10.0**power for power in range(int(self._low), int(self._high) + 1)]
        return [self._high * part / 4 for part in range(5)]


def _round_up(value: float) -> float:
    unit = 10.0 ** math.floor(math.log10(value))
    return next(step * unit for step in (1, 2, 2.5, 5, 10) if step * unit >= value)


def short(value: float) -> str:
    """1,500,000 is 1.5M."""
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= size:
            return f"{value / size:g}{letter}"
    return f"{value:g}"


def _line(x1: float, y1: float, x2: float, y2: float) -> str:
    return f'<line class="axis" x1="{x1}" y1="{y1}" x2="{x2}" y2="{y2}"/>'


def _text(x: float, y: float, text: str, anchor: str) -> str:
    return f'<text x="{x}" y="{y}" text-anchor="{anchor}">{escape(text)}</text>'


def _series(name: str, found: Sequence[Point], across: _Scale, up: _Scale, number: int) -> str:
    colour = _COLOURS[number % len(_COLOURS)]
    places = [(across(x), up(y)) for x, y in found]
    path = " ".join(f"{x},{y}" for x, y in places)
    dots = "".join(f'<circle cx="{x}" cy="{y}" r="4" fill="{colour}"/>' for x, y in places)
    label = TOP + 10 + 24 * number
    return (
        f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>{dots}'
        f'<circle cx="{WIDTH - RIGHT + 20}" cy="{label - 4}" r="5" fill="{colour}"/>'
        f"{_text(WIDTH - RIGHT + 32, label, name, 'start')}"
    )
