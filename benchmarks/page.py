"""The table and the charts of docs/benchmarks.md, of the committed results.

python -m benchmarks.page
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from benchmarks.charts import bar_chart
from benchmarks.table import table

DOCS = Path(__file__).parents[1] / "docs"
RESULTS = Path(__file__).parent / "results.json"
BEGIN, END = "<!-- bench: begin -->", "<!-- bench: end -->"


def section(results: dict[str, Any], workloads: list[str]) -> str:
    """What stands between the two marks."""
    on = results["machine"]
    lines = [
        f"{results['date']}, {results['pairs']} pairs, {on['cores']} cores of {on['cpu']}, "
        f"{on['memory_gb']:g} GB:",
        table(results),
        *(f"![Speed on {name}](benchmarks-{name.lower()}.svg)" for name in workloads),
        "Versions: " + "; ".join(_versions(results["versions"])) + ".",
    ]
    return "\n\n".join(lines)


def _versions(versions: dict[str, dict[str, str]]) -> list[str]:
    return [
        f"{engine} ({', '.join(f'{name} {number}' for name, number in found.items())})"
        for engine, found in versions.items()
    ]


def put(page: str, text: str) -> str:
    """``page`` with ``text`` between its marks."""
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"the page has no {BEGIN} followed by {END}")
    return f"{before}{BEGIN}\n\n{text}\n\n{END}{after}"


def write_page(results: dict[str, Any], folder: Path = DOCS) -> None:
    """Charts beside docs/benchmarks.md, and its section of figures."""
    workloads = sorted({row["workload"] for row in results["medians"]})
    for name in workloads:
        chart = bar_chart(results["medians"], name)
        (folder / f"benchmarks-{name.lower()}.svg").write_text(chart, "utf-8")
    path = folder / "benchmarks.md"
    path.write_text(put(path.read_text("utf-8"), section(results, workloads)), "utf-8")


def main() -> None:
    write_page(json.loads(RESULTS.read_text("utf-8")))


if __name__ == "__main__":
    main()
