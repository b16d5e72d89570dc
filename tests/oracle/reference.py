"""What a replay session must deliver, computed straight from the files of a catalog.

Shares no code with the server and works differently: SQL over whole streams, one sort at
the end, and plain loops over bars. Limits: one file a symbol and date, no source sequence
common to trades and quotes, bars that start on whole minutes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from tests.oracle.days import Day, Span, trading_days
from tests.oracle.derived import (
    AUCTION_WAIT,
    Bar,
    DayRecord,
    Trade,
    bars_of_trades,
    day_record,
    derived_bars,
)
from tests.oracle.digest_reference import digest
from tests.oracle.judge import judged_rows, stream_files
from tests.oracle.records import (
    FIELDS,
    QUOTE,
    TEXTS,
    TRADE,
    Collected,
    Records,
    in_order,
    number_words,
)

DATASETS = ("bars_1m", "trades", "quotes")


@dataclass
class Expected:
    """A session's delivery. ``records``, ``day_of`` and ``starts`` are in the total order."""

    symbols: list[str]
    days: list[Day]
    records: Records
    day_of: NDArray[np.int64]
    starts: NDArray[np.int64]
    words: list[str]
    delivered: dict[tuple[str, str], int]  # (symbol, channel)
    discarded: dict[tuple[str, str], dict[str, int]]
    day_records: dict[tuple[date, str], DayRecord]
    digest: str

    def discards(self) -> dict[str, int]:
        """Counts by reason over all streams, as ``GET /session`` has them."""
        reasons = ("before_hours", "in_break", "after_hours", "late", "duplicate", "invalid")
        return {r: sum(c.get(r, 0) for c in self.discarded.values()) for r in reasons}

    def channel(self, name: str) -> pd.DataFrame:
        """Items of ``bars_<n>m``, ``trades`` or ``quotes`` in order; texts as words."""
        interval = int(name[5:-1]) if name.startswith("bars_") else 0
        code = interval or {"trades": TRADE, "quotes": QUOTE}[name]
        own = self.records["stream"] == code
        rows = self.records[own]
        frame = pd.DataFrame(
            {
                "release": rows["release"],
                "symbol": np.array(self.symbols, object)[rows["symbol"]],
                "ts": self.starts[own],
                "flags": rows["flags"],
            }
        )
        words = np.array([*self.words, None], object)
        for place, column in enumerate(FIELDS["bars" if interval else name]):
            values = rows["values"][:, place]
            is_text = place in TEXTS.get(code, ())
            frame[column] = words[values.astype(int)] if is_text else values
        return frame


def replay(
    root: Path,
    symbols: Sequence[str],
    dates: tuple[date, date],
    streams: Iterable[str] = DATASETS,
    hours: str = "regular",
    calendar: str = "XNYS",
    derived: Sequence[int] = (5, 15),
    grace_s: int = 60,
) -> Expected:
    """All that a session over the dates [first, last] delivers; missing streams are left out."""
    span = trading_days(*dates, hours, calendar, grace_s)
    names = sorted(symbols)
    got = Collected()
    records: dict[tuple[date, str], DayRecord] = {}
    for number, symbol in enumerate(names):
        judged = {
            dataset: judged_rows(files, dataset, span)
            for dataset in streams
            if (files := stream_files(root, dataset, symbol, span.first_date, dates[1]))
        }
        for dataset, rows in judged.items():
            verdicts = Counter(rows["verdict"].to_pylist())
            del verdicts["delivered"]
            got.discarded[symbol, dataset] = dict(verdicts)
            if dataset != "bars_1m":
                code = TRADE if dataset == "trades" else QUOTE
                got.add(number, (symbol, dataset), code, _ticks(rows, code))
        minutes = _minutes(root, symbol, judged, dates, span)
        bars = minutes + [b for i in derived for b in derived_bars(minutes, i, span.days)]
        for interval in sorted({bar.interval for bar in bars}):
            table = _table([bar for bar in bars if bar.interval == interval])
            got.add(number, (symbol, f"bars_{interval}m"), interval, table)
        records |= _day_records(root, symbol, minutes, judged.get("trades"), span.days)
    items, day_of, starts = in_order(got)
    words, first_seen = number_words(items, day_of, list(got.words))
    chain = [
        (
            items[day_of == k].tobytes(),
            [w for w, d in zip(words, first_seen, strict=True) if d == k],
        )
        for k in range(len(span.days))
    ]
    return Expected(
        names, span.days, items, day_of, starts, words, dict(got.delivered), got.discarded, records,
        digest(names, chain),
    )  # fmt: skip


def _delivered(rows: pa.Table) -> pa.Table:
    return rows.filter(pc.equal(rows["verdict"], "delivered"))


def _permissions(rows: pa.Table) -> dict[str, NDArray[np.bool_]]:
    """What each trade may set: the optional columns, else all that are not suspicious."""
    clean = ~_booleans(rows["suspicious"])
    names = ("updates_last", "updates_high_low", "updates_volume")
    return {n: _booleans(rows[n]) if n in rows.column_names else clean for n in names}


def _booleans(column: Any) -> NDArray[np.bool_]:
    found: NDArray[np.bool_] = pc.fill_null(column, False).to_numpy()
    return found


def _ticks(rows: pa.Table, code: int) -> pa.Table:
    """Delivered trades or quotes with their flags."""
    if "sequence" in rows.column_names:
        raise ValueError("the oracle does not order by a source sequence")
    rows = _delivered(rows)
    flags = _booleans(rows["post_close"]).astype(np.uint16)
    if code == TRADE:
        may = _permissions(rows)
        flags |= 8 * _booleans(rows["suspicious"]).astype(np.uint16)
        flags |= 16 * may["updates_last"].astype(np.uint16)
        flags |= 32 * may["updates_high_low"].astype(np.uint16)
        flags |= 64 * may["updates_volume"].astype(np.uint16)
        if "auction" in rows.column_names:
            auction = np.array(rows["auction"].to_pylist(), object)
            flags |= 128 * (auction == "open").astype(np.uint16)
            flags |= 256 * (auction == "close").astype(np.uint16)
    return rows.append_column("flags", pa.array(flags))


def _minutes(
    root: Path, symbol: str, judged: dict[str, pa.Table], dates: tuple[date, date], span: Span
) -> list[Bar]:
    """Delivered 1m bars of the source, or made from trades where the catalog has none."""
    if "bars_1m" in judged:
        rows = _delivered(judged["bars_1m"])
        columns = ("day", "start_ns", "release_ns", "open", "high", "low", "close", "volume")
        values = zip(*(rows[c].to_pylist() for c in (*columns, "vwap", "post_close")), strict=True)
        return [
            Bar(day, start, release, 1, o, h, lo, c, float(v), vwap, post_close=post)
            for day, start, release, o, h, lo, c, v, vwap, post in values
        ]
    if "trades" not in judged or stream_files(root, "bars_1m", symbol, span.first_date, dates[1]):
        return []
    rows = _delivered(judged["trades"])
    rows = rows.filter(pc.invert(rows["post_close"]))
    plain = (rows[c].to_pylist() for c in ("day", "start_ns", "price", "size"))
    may = (column.tolist() for column in _permissions(rows).values())
    trades = [Trade(*row) for row in zip(*plain, *may, strict=True)]
    return list(bars_of_trades(trades, span.days))


def _table(bars: list[Bar]) -> pa.Table:
    frame = pd.DataFrame(bars)
    frame["flags"] = frame["post_close"] * 1 + frame["complete"] * 2 + frame["partial"] * 4
    frame["vwap"] = frame["vwap"].astype(float)
    frame = frame.rename(columns={"release": "release_ns", "start": "start_ns"})
    return pa.Table.from_pandas(frame, preserve_index=False)


def _day_records(
    root: Path, symbol: str, minutes: list[Bar], trades: pa.Table | None, days: list[Day]
) -> dict[tuple[date, str], DayRecord]:
    file = root / "daily" / f"symbol={symbol}" / "daily.parquet"
    daily = pq.read_table(file, columns=["date", "close"]).to_pydict() if file.exists() else {}
    closes = dict(zip(daily.get("date", []), daily.get("close", []), strict=True))
    found = {}
    for number, day in enumerate(days):
        own = [bar for bar in minutes if bar.day == number]
        auction = _auction_close(trades, day) if trades is not None else None
        found[day.date, symbol] = day_record(own, day, closes.get(day.date), auction)
    return found


def _auction_close(trades: pa.Table, day: Day) -> float | None:
    """The last closing-auction trade from the close until ten minutes later."""
    if "auction" not in trades.column_names:
        return None
    rows = trades.select(["start_ns", "price", "auction", "verdict"]).to_pandas()
    rows = rows[(rows["auction"] == "close") & ~rows["verdict"].isin(["invalid", "late"])]
    rows = rows[rows["start_ns"].between(day.close, day.close + AUCTION_WAIT)]
    return float(rows["price"].iloc[-1]) if len(rows) else None
