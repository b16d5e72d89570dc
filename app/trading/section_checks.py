"""What the keys of a configuration must be to each other.

It is asked of plain values, so that a file with other faults in it is told of these too.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from datetime import date, timedelta
from typing import Any

from app.errors import nearest
from app.times import DAY_NS, parse_date, parse_time_ns

Path = tuple[str | int, ...]
Finding = tuple[Path, str]


class Draft:
    """Plain values of a configuration, of which those below ``spoilt`` paths cannot be used."""

    def __init__(self, data: Any, spoilt: Collection[Path] = ()) -> None:
        self._data = data
        self._spoilt = set(spoilt)
        self._above = {path[:end] for path in spoilt for end in range(len(path))}

    def get(self, *path: str | int, default: Any = None) -> Any:
        """The value there, ``default`` where there is none, None where it cannot be used."""
        within = any(path[:end] in self._spoilt for end in range(1, len(path) + 1))
        if within or path in self._above:
            return None
        return self._at(path, default)

    def entries(self, *path: str | int) -> list[tuple[int, Any]]:
        """Places and values of a list, of those that can be used."""
        return [
            (place, value)
            for place in range(self.count(*path))
            if (value := self.get(*path, place)) is not None
        ]

    def keys(self, *path: str | int) -> set[str] | None:
        """Keys of a mapping that are not null, usable or not; None where there is no mapping."""
        found = self._at(path, None)
        if not isinstance(found, dict):
            return None
        return {key for key, value in found.items() if value is not None}

    def count(self, *path: str | int) -> int:
        """Entries of a list, usable or not."""
        found = self._at(path, None)
        return len(found) if isinstance(found, list) else 0

    def _at(self, path: Path, default: Any) -> Any:
        here = self._data
        for key in path:
            try:
                here = here[key]
            except (KeyError, IndexError, TypeError):
                return default
        return here


def cross_findings(draft: Draft) -> Iterator[Finding]:
    """What is wrong between keys: the path that it is told of, and a sentence."""
    yield from _range(draft)
    yield from _data(draft)
    yield from _benchmark(draft)
    yield from _sizing(draft)
    yield from _orders(draft)
    yield from _fees(draft)
    yield from _ids(draft)
    for number in range(draft.count("strategies")):
        yield from _symbols(draft, number)
        yield from _lockstep(draft, number)
        yield from _warmup(draft, number)


def dates_of(draft: Draft) -> tuple[date, date] | None:
    """The dates of start and end, of a time with a day for zones; None where one is unusable."""
    start, end = _date(draft, "start", -1), _date(draft, "end", 1)
    return None if start is None or end is None else (start, end)


def _date(draft: Draft, key: str, slack_days: int) -> date | None:
    text = draft.get("backtest", key)
    if text is None:
        return None
    since = parse_date(text)
    if since is None:
        days = parse_time_ns(text) // DAY_NS + slack_days
        since = date(1970, 1, 1) + timedelta(days=days)
    return since


def _range(draft: Draft) -> Iterator[Finding]:
    dates = dates_of(draft)
    if dates is None:
        return
    start, end = draft.get("backtest", "start"), draft.get("backtest", "end")
    wrong = "is before" if dates[1] < dates[0] else ""
    if parse_date(start) is None and parse_date(end) is None and not wrong:
        wrong = "is not after" if parse_time_ns(end) <= parse_time_ns(start) else ""
    if wrong:
        yield ("backtest", "end"), f"{end} {wrong} backtest.start, {start}"


def _data(draft: Draft) -> Iterator[Finding]:
    for key in ("symbols", "streams", "derived_intervals"):
        yield from _twice(draft, "data", key)
    for place, symbol in draft.entries("data", "symbols"):
        if symbol == "*" and draft.count("data", "symbols") > 1:
            yield ("data", "symbols", place), "'*' is all symbols, and stands alone"


def _benchmark(draft: Draft) -> Iterator[Finding]:
    symbols, benchmark = draft.get("data", "symbols"), draft.get("portfolio", "benchmark")
    if symbols is not None and benchmark is not None:
        yield from _within(("portfolio", "benchmark"), benchmark, symbols)


def _sizing(draft: Draft) -> Iterator[Finding]:
    method = draft.get("risk", "sizing", "method", default="fraction_of_equity")
    value = draft.get("risk", "sizing", "value")
    if method == "fraction_of_equity" and value is not None and value > 1:
        text = f"came {value} with method fraction_of_equity; allowed: a number above 0, at most 1"
        yield ("risk", "sizing", "value"), text


def _orders(draft: Draft) -> Iterator[Finding]:
    low = draft.get("risk", "orders", "min_quantity")
    high = draft.get("risk", "orders", "max_quantity")
    if low is not None and high is not None and high < low:
        yield ("risk", "orders", "max_quantity"), f"{high} is below min_quantity, {low}"
    if draft.get("risk", "budgets") is not None:
        text = "is made of the strategies' budget_pct; leave it out"
        yield ("risk", "budgets"), text


def _fees(draft: Draft) -> Iterator[Finding]:
    """The newest row of a name and side counts, so no two may be of one date."""
    seen: dict[tuple[str, str, str], int] = {}
    for number in range(draft.count("execution", "regulatory")):
        path = ("execution", "regulatory", number)
        name, since = draft.get(*path, "name"), draft.get(*path, "since")
        side = draft.get(*path, "side", default="sell")
        if None in (name, since, side):
            continue
        first = seen.setdefault((name, since, side), number)
        if first != number:
            text = f"{name} ({side}) since {since} stands in execution.regulatory.{first} too"
            yield path, text


def _ids(draft: Draft) -> Iterator[Finding]:
    seen: dict[str, int] = {}
    for number in range(draft.count("strategies")):
        name = draft.get("strategies", number, "id")
        if name is not None and seen.setdefault(name, number) != number:
            text = f"{name!r} is the id of strategies.{seen[name]} too; ids are unique"
            yield ("strategies", number, "id"), text


def _symbols(draft: Draft, number: int) -> Iterator[Finding]:
    path = ("strategies", number, "symbols")
    run = draft.get("data", "symbols")
    yield from _twice(draft, *path)
    known = frozenset(run or ())
    for place, symbol in draft.entries(*path):
        if symbol == "*":
            yield (*path, place), "'*' is not for a strategy; leave symbols out for all of the run"
        elif run is not None and symbol not in known:
            yield from _within((*path, place), symbol, run)


def _lockstep(draft: Draft, number: int) -> Iterator[Finding]:
    path = ("strategies", number)
    if not draft.get(*path, "lockstep", default=False):
        if draft.get(*path, "file", default="") == "":
            yield (*path, "file"), "there is none; needed: a .py file, or lockstep: true"
    elif draft.get("services", "strategy", default="inline") != "inline":
        yield ("services", "strategy"), "needed: inline, where a strategy plays in lockstep"


def _warmup(draft: Draft, number: int) -> Iterator[Finding]:
    path = ("strategies", number, "warmup")
    keys = draft.keys(*path)
    if keys is None:
        return
    if ("bars" in keys) == ("days" in keys):
        came = "both" if "bars" in keys else "neither"
        yield path, f"came {came} of bars and days; needed: one of them"
    derived = draft.get("data", "derived_intervals", default=[5, 15])
    interval = draft.get(*path, "interval", default="1m")
    if derived is not None and interval is not None:
        known = ["1m", *(f"{minutes}m" for minutes in sorted(derived))]
        if interval not in known:
            text = f"came {interval!r}; allowed: {', '.join(known)} (1m and data.derived_intervals)"
            yield (*path, "interval"), text


def _within(path: Path, symbol: str, symbols: Sequence[str]) -> Iterator[Finding]:
    if symbol not in symbols and symbols != ["*"]:
        close = ", ".join(nearest(symbol, symbols)) or "none"
        yield path, f"{symbol!r} is not in data.symbols; nearest: {close}"


def _twice(draft: Draft, *path: str | int) -> Iterator[Finding]:
    seen = set()
    for place, value in draft.entries(*path):
        if value in seen:
            yield (*path, place), f"{value!r} is there twice"
        seen.add(value)
