"""The comparison as Markdown."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from benchmarks.engines import LIMIT, OURS
from benchmarks.figures import Row

HEAD = (
    "| workload | strategy | engine | items | items/s (range seen) | load s | run s | peak MB | "
    "fills | tapedeck is so many times as fast (range) |\n"
    "|---|---|---|---|---|---|---|---|---|---|"
)


def on_machine(results: dict[str, Any]) -> str:
    """When, and on what."""
    on = results["machine"]
    return f"{results['date']}, {on['cores']} cores of {on['cpu']}, {on['memory_gb']:g} GB"


def thousands(value: float) -> str:
    return f"{value:,.0f}"


def factor(value: float) -> str:
    """Three digits that say something."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def table(results: dict[str, Any]) -> str:
    """All medians by workload and strategy, with the ratio of the pairs; then who ran a part of the
    workload, and who is missing."""
    ratios = {
        (r["workload"], r["strategy"], r["against"], r["against_strategy"]): r
        for r in results["ratios"]
    }
    lines = [_line(row, _ratio_of(row, ratios)) for row in ordered(results["medians"])]
    text = "\n".join([HEAD, *lines])
    cut = [
        f"- {e['engine']} on {e['workload']}: {e['part']}, {thousands(e['items'])} of "
        f"{thousands(e['of'])} items"
        for e in results["parts"]
    ]
    missing = [f"- {entry['engine']}: {entry['reason']}" for entry in results["missing"]]
    lists = {"Not the whole workload": cut, "Not there": missing}
    return "\n\n".join(
        [text, *(f"{title}:\n\n" + "\n".join(found) for title, found in lists.items() if found)]
    )


def ordered(medians: Sequence[Row]) -> list[Row]:
    """By workload and strategy; this project first, the limits last, else the fastest first."""
    return sorted(
        medians,
        key=lambda r: (
            r["workload"],
            ("none", "count", "sma", "slice").index(r["strategy"]),
            r["engine"] != OURS,
            r["engine"].startswith(LIMIT),
            -r["items_per_s"],
        ),
    )


def _ratio_of(row: Row, ratios: dict[tuple[str, str, str, str], Row]) -> str:
    key = (row["workload"], row["strategy"], row["engine"], row["strategy"])
    found = ratios.get(key)
    if found is None and row["strategy"] == "slice":
        found = ratios.get((row["workload"], "slice", OURS, "sma"))
        return "" if found is None else f"{_range(found)} its own sma"
    return "" if found is None else _range(found)


def _range(ratio: Row) -> str:
    ends = f"{factor(ratio['lowest'])} to {factor(ratio['highest'])}"
    return (
        f"{factor(ratio['ratio'])}" if ratio["pairs"] == 1 else f"{factor(ratio['ratio'])} ({ends})"
    )


def _line(row: Row, ratio: str) -> str:
    speed = thousands(row["items_per_s"])
    if row["runs"] > 1:
        speed += f" ({thousands(row['slowest'])} to {thousands(row['fastest'])})"
    fills = "" if row["fills"] is None else thousands(row["fills"])
    cells = (
        row["workload"], row["strategy"], row["engine"], thousands(row["items"]), speed,
        f"{row['load_s']:g}", f"{row['run_s']:g}", thousands(row["peak_mb"]), fills, ratio,
    )  # fmt: skip
    return f"| {' | '.join(cells)} |"
