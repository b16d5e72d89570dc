"""Growth, clock and serving as Markdown tables."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from benchmarks.figures import Row
from benchmarks.plots import short
from benchmarks.table import thousands


def grid(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def ms(value: float | None) -> str:
    """Milliseconds in three digits; - where nothing came."""
    return "-" if value is None else f"{value:.3g}"


def _rough(value: float) -> str:
    return short(float(f"{value:.3g}"))


def growth(results: dict[str, Any]) -> str:
    rows = [
        (
            row["grows"], thousands(row["size"]), _rough(row["items"]),
            f"{row['first_s'] * 1e3:,.0f} ms", f"{row['run_s']:.2f} s",
            thousands(row["ns_per_item"]), thousands(row["peak_mb"]), f"`{row['digest'][:12]}`",
        )
        for row in results["rows"]
    ]  # fmt: skip
    head = (
        "what grows", "to", "items", "first item", "to the end", "ns an item", "peak MB",
        "digest",
    )  # fmt: skip
    plots = "\n\n".join(
        f"![{title}](benchmarks-{name}.svg)"
        for name, title in (("growth-memory", "Memory"), ("growth-time", "Time an item"))
    )
    return f"{grid(head, rows)}\n\n{plots}"


def pacing(results: dict[str, Any]) -> str:
    rows = [
        (
            f"{row['speed']:g}x", row["data"], row["load"], thousands(row["slices"]),
            ms(row["p50_ms"]), ms(row["p99_ms"]), ms(row["max_ms"]), _share(row["cpu"]),
        )
        for row in results["rows"]
    ]  # fmt: skip
    head = ("speed", "data", "load", "slices", "p50 ms", "p99 ms", "max ms", "CPU")
    return f"{grid(head, rows)}\n\n{_highest(results)}"


def _highest(results: dict[str, Any]) -> str:
    found = [row for row in results["ladder"] if row["keeps_up"]]
    if not found:
        return "At no speed that was tried did all bars come in time."
    best = max(found, key=lambda row: float(row["speed"]))
    return (
        f"The highest speed at which the 1m bars of {best['symbols']} symbols keep up: "
        f"{thousands(best['speed'])}x, {best['items_per_s'] / 1e6:.2f} M items/s, "
        f"p99 {ms(best['p99_ms'])} ms late."
    )


def _share(cpu: float) -> str:
    return f"{cpu:.0%}"


def polling(results: dict[str, Any]) -> str:
    parts = [
        ("Polling:", _polls(results["rows"])),
        ("Streams, all channels of all symbols:", _streams(results["streams"])),
        ("Ten conflating clients:", _slowdown(results["conflating"])),
        ("", f"From `POST /session` to the first item: {results['first_item_ms']:,.0f} ms."),
    ]
    if results["left_out"]:
        parts.append(("", f"{results['left_out']} measurements were left out, for want of time."))
    return "\n\n".join(f"{title}\n\n{text}".strip() for title, text in parts)


def _polls(rows: Sequence[Row]) -> str:
    head = (
        "speed", "call", "requests/s", "clients", "answered", "p50 ms", "p99 ms", "max ms",
        "replay meanwhile",
    )  # fmt: skip
    return grid(head, [
        (
            "0" if not row["speed"] else f"{row['speed']:g}x", row["call"],
            thousands(row["offered_per_s"]), str(row["clients"]),
            _share(row["answered"] / max(1, row["offered"])), ms(row["p50_ms"]), ms(row["p99_ms"]),
            ms(row["max_ms"]), f"{_rough(row['items_per_s'])} items/s",
        )
        for row in rows
    ])  # fmt: skip


def _streams(rows: Sequence[Row]) -> str:
    head = (
        "speed", "clients", "delivery", "encoding", "items/s to each", "MB/s in all",
        "age p50 ms", "age p99 ms", "CPU of the server",
    )  # fmt: skip
    return grid(head, [
        (
            "0" if not row["speed"] else f"{row['speed']:g}x", str(row["clients"]),
            row["delivery"], row["encoding"], _rough(row["items_per_s"]),
            f"{row['mb_per_s']:,.1f}", ms(row["p50_ms"]), ms(row["p99_ms"]), _share(row["cpu"]),
        )
        for row in rows
    ])  # fmt: skip


def _slowdown(row: Row) -> str:
    return (
        f"the replay takes {row['ratio']:.2f} times as long ({row['lowest']:.2f} to "
        f"{row['highest']:.2f} in {row['pairs']} pairs), and {row['cpu_ratio']:.2f} times the CPU "
        "of the server."
    )


SECTIONS: dict[str, Callable[[dict[str, Any]], str]] = {
    "growth": growth, "pacing": pacing, "polling": polling,
}  # fmt: skip
