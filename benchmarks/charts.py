"""The comparison as bars: SVG that is drawn here, the same bytes for the same data."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from itertools import groupby

from benchmarks.engines import LIMIT, OURS
from benchmarks.figures import Row
from benchmarks.table import ordered, thousands

WIDTH, LABEL, VALUE = 860, 250, 110  # pixels: all, the names, the figures
BAR, GAP, TITLE = 18, 6, 34
_STYLE = (
    "text{font:13px system-ui,sans-serif;fill:#24292f}.title{font-weight:600}.own{fill:#2f6fde}"
    ".peer{fill:#a8b0ba}.seen{stroke:#24292f;stroke-width:1}"
    "@media(prefers-color-scheme:dark){text{fill:#d5dae0}.own{fill:#6ea0ff}.peer{fill:#6b737d}"
    ".seen{stroke:#d5dae0}}"
)


def bar_chart(medians: Sequence[Row], workload: str) -> str:
    """Items a second of a workload by strategy; a thin line is the range seen. No limits."""
    rows = [r for r in medians if r["workload"] == workload and not r["engine"].startswith(LIMIT)]
    longest = max((row["fastest"] for row in rows), default=1)
    parts: list[str] = []
    top = 8
    for strategy, group in groupby(ordered(rows), key=lambda row: row["strategy"]):
        title = f"{workload}, {strategy}: items a second, from the Parquet files to the end"
        parts.append(f'<text class="title" x="8" y="{top + 18}">{escape(title)}</text>')
        top += TITLE
        for row in group:
            parts.append(_bar(row, top, longest))
            top += BAR + GAP
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{top + 8}" '
        f'viewBox="0 0 {WIDTH} {top + 8}" role="img" aria-label="Speed on {escape(workload)}">'
        f"<style>{_STYLE}</style>\n" + "\n".join(parts) + "\n</svg>\n"
    )


def _bar(row: Row, top: int, longest: float) -> str:
    def place(value: float) -> float:
        return round(LABEL + (WIDTH - LABEL - VALUE) * value / longest, 1)

    end, middle = place(row["items_per_s"]), top + BAR / 2
    kind = "own" if row["engine"] == OURS else "peer"
    low, high = place(row["slowest"]), place(row["fastest"])
    return (
        f'<text x="{LABEL - 8}" y="{top + 14}" text-anchor="end">{escape(row["engine"])}</text>'
        f'<rect class="{kind}" x="{LABEL}" y="{top}" width="{max(1.0, end - LABEL):.1f}" '
        f'height="{BAR}"/>'
        f'<line class="seen" x1="{low}" x2="{high}" y1="{middle}" y2="{middle}"/>'
        f'<text x="{max(end, high) + 6:.1f}" y="{top + 14}">{thousands(row["items_per_s"])}</text>'
    )
