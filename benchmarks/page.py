"""The tables and the charts of docs/benchmarks.md, of the committed figures.

python -m benchmarks.page
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from benchmarks.charts import bar_chart
from benchmarks.measured import path_of, say, write
from benchmarks.plots import growth_plots
from benchmarks.sections import SECTIONS
from benchmarks.table import on_machine, table

DOCS = Path(__file__).parents[1] / "docs"
RESULTS = Path(__file__).parent / "results.json"


def section(results: dict[str, Any], workloads: list[str]) -> str:
    """What stands between the two marks."""
    lines = [
        f"{on_machine(results)}, {results['pairs']} pairs{_without(results['left_out'])}:",
        table(results),
        *(f"![Speed on {name}](benchmarks-{name.lower()}.svg)" for name in workloads),
        "Versions: " + "; ".join(_versions(results["versions"])) + ".",
    ]
    return "\n\n".join(lines)


def _without(left_out: int) -> str:
    return f" but for {left_out} of them, for want of time" if left_out else ""


def _versions(versions: dict[str, dict[str, str]]) -> list[str]:
    return [
        f"{engine} ({', '.join(f'{name} {number}' for name, number in found.items())})"
        for engine, found in versions.items()
    ]


def put(page: str, text: str, name: str = "bench") -> str:
    """``page`` with ``text`` between the marks of that name."""
    opening, closing = f"<!-- {name}: begin -->", f"<!-- {name}: end -->"
    before, begin, rest = page.partition(opening)
    _, end, after = rest.partition(closing)
    if not begin or not end:
        raise ValueError(f"the page has no {opening} followed by {closing}")
    return f"{before}{opening}\n\n{text}\n\n{closing}{after}"


def _fill(folder: Path, name: str, text: str) -> None:
    path = folder / "benchmarks.md"
    path.write_text(put(path.read_text("utf-8"), text, name), "utf-8")


def write_page(results: dict[str, Any], folder: Path = DOCS) -> None:
    """Charts beside docs/benchmarks.md, and its section of figures."""
    workloads = sorted({row["workload"] for row in results["medians"]})
    for name in workloads:
        chart = bar_chart(results["medians"], name)
        (folder / f"benchmarks-{name.lower()}.svg").write_text(chart, "utf-8")
    _fill(folder, "bench", section(results, workloads))


def write_section(name: str, results: dict[str, Any], folder: Path = DOCS) -> None:
    """Growth, pacing or polling: its tables, and the plots of growth."""
    if name == "growth":
        for title, plot in growth_plots(results["rows"]).items():
            (folder / f"benchmarks-{title}.svg").write_text(plot, "utf-8")
    _fill(folder, name, f"{on_machine(results)}:\n\n{SECTIONS[name](results)}")


def publish(name: str, results: dict[str, Any], is_quick: bool) -> None:
    """Write the figures, and those of the full sizes into the page too."""
    path = path_of(name, is_quick)
    path.parent.mkdir(exist_ok=True)
    write(path, results)
    say(f"written to {path}\n\n{SECTIONS[name](results)}\n")
    if not is_quick:
        write_section(name, results)


def main() -> None:
    if RESULTS.is_file():
        write_page(json.loads(RESULTS.read_text("utf-8")))
    for name in SECTIONS:
        path = path_of(name, is_quick=False)
        if path.is_file():
            write_section(name, json.loads(path.read_text("utf-8")))


if __name__ == "__main__":
    main()
