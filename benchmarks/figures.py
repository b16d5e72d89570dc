"""From single runs to medians, pair-wise ratios, and what became slower. Pure."""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

from benchmarks.engines import LIMIT, OURS

Row = dict[str, Any]
TOLERANCE = 0.2
_BRIEF = (f"{LIMIT}sort", f"{LIMIT}copy")


def seconds(row: Row) -> float:
    """From the Parquet files to the end; of a limit its own work alone."""
    run_s: float = row["run_s"]
    return run_s if row["engine"].startswith(LIMIT) else row["load_s"] + run_s


def speed(row: Row) -> float:
    """Items a second, loading included."""
    return float(row["items"] / seconds(row))


def medians(rows: Iterable[Row]) -> list[Row]:
    """One line an engine, workload and strategy, in the order they first came."""
    groups: dict[tuple[str, str, str], list[Row]] = defaultdict(list)
    for row in rows:
        groups[row["workload"], row["strategy"], row["engine"]].append(row)
    return [_median(*key, group) for key, group in groups.items()]


def _median(workload: str, strategy: str, engine: str, group: Sequence[Row]) -> Row:
    speeds = [speed(row) for row in group]
    return {
        "engine": engine,
        "workload": workload,
        "strategy": strategy,
        "runs": len(group),
        "items": group[0]["items"],
        "items_per_s": round(statistics.median(speeds)),
        "slowest": round(min(speeds)),
        "fastest": round(max(speeds)),
        "load_s": round(statistics.median(row["load_s"] for row in group), 3),
        "run_s": round(statistics.median(row["run_s"] for row in group), 3),
        "peak_mb": round(statistics.median(row["peak_mb"] for row in group), 1),
    }


def ratios(rows: Iterable[Row]) -> list[Row]:
    """How many times as fast this project was, pair by pair: the median and its range.

    ``ratio`` is of items a second from the files to the end, ``ratio_run`` of running alone. A pair
    is the two rows of one workload and pair number, this project's first.
    """
    pairs: dict[tuple[str, int], list[Row]] = defaultdict(list)
    for row in rows:
        pairs[row["workload"], row["pair"]].append(row)
    groups: dict[tuple[str, str, str, str], list[tuple[float, float]]] = defaultdict(list)
    for (workload, _), pair in pairs.items():
        if len(pair) != 2 or pair[0]["engine"] != OURS:
            continue  # the other one did not come to its end
        ours, other = pair
        key = (workload, ours["strategy"], other["engine"], other["strategy"])
        run = (ours["items"] / ours["run_s"]) / (other["items"] / other["run_s"])
        groups[key].append((speed(ours) / speed(other), run))
    return [_ratio(key, found) for key, found in groups.items()]


def _ratio(key: tuple[str, str, str, str], found: Sequence[tuple[float, float]]) -> Row:
    workload, strategy, engine, other_strategy = key
    whole = [ratio for ratio, _ in found]
    return {
        "workload": workload,
        "strategy": strategy,
        "against": engine,
        "against_strategy": other_strategy,
        "pairs": len(found),
        "ratio": _short(statistics.median(whole)),
        "lowest": _short(min(whole)),
        "highest": _short(max(whole)),
        "ratio_run": _short(statistics.median(run for _, run in found)),
    }


def _short(value: float) -> float:
    return float(f"{value:.4g}")


def slower(
    before: Sequence[Row], now: Sequence[Row], tolerance: float = TOLERANCE
) -> tuple[list[str], int]:
    """Lines on ratios that fell by more than ``tolerance``, and how many were compared.

    Sorting and copying are over in milliseconds: what is held against them says nothing.
    """
    known = {_key(row): row for row in before if row["against"] not in _BRIEF}
    both = [(known[_key(row)], row) for row in now if _key(row) in known]
    lines = [
        f"{new['workload']} {new['strategy']} against {new['against']}: {new['ratio']:g}, was "
        f"{old['ratio']:g} ({new['ratio'] / old['ratio'] - 1:+.0%})"
        for old, new in both
        if new["ratio"] < old["ratio"] * (1 - tolerance)
    ]
    return lines, len(both)


def _key(row: Row) -> tuple[str, str, str, str]:
    return row["workload"], row["strategy"], row["against"], row["against_strategy"]
