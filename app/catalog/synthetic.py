"""A small invented market, so that a fresh machine has something to replay.

Prices are a random walk in whole cents from a seeded generator, so the same seed
gives the same data everywhere.
"""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.fs as pafs

from app.calendar import Hours, TradingCalendar, TradingDay
from app.catalog.layout import day_path, side_path
from app.catalog.shapes import DAILY, whole_sizes
from app.catalog.synthetic_ticks import invent_quotes, invent_trades
from app.catalog.writer import DayWriter, Folders
from app.model import Floats, Ints
from app.times import MINUTE_NS

FIRST_DAY, LAST_DAY = date(2024, 11, 22), date(2024, 12, 6)  # around the half day of the 29th
TICK_DAY = date(2024, 12, 3)
_VERSION = 1
_MARKER = ".synthetic-complete"
_README = """This catalog is synthetic: {symbols} symbols and {days} trading days of invented
prices, from a random number generator with the seed {seed}. No symbol in it exists.
It is here so that a first replay works. Bring your own data with 'tapedeck import'.
"""


class Company(NamedTuple):
    """An invented symbol: how dear, how lively and how much traded."""

    symbol: str
    first_cents: int
    step_cents: int
    shares_a_minute: int
    missing: float  # share of minutes without a bar


COMPANIES = (
    Company("ALFA", 18_250, 6, 9_000, 0.0),
    Company("BRVO", 4_120, 2, 22_000, 0.0),
    Company("CHRL", 9_575, 4, 3_500, 0.02),
    Company("DLTA.A", 30_480, 9, 1_800, 0.05),
    Company("ECHO", 2_215, 1, 6_000, 0.08),
    Company("FXTR", 61_030, 20, 900, 0.15),
    Company("GOLF", 7_340, 3, 1_200, 0.25),
    Company("HTEL", 12_905, 7, 600, 0.40),
)


class Bars(NamedTuple):
    """Bars of one symbol and day; prices in cents."""

    ts: Ints
    open: Ints
    high: Ints
    low: Ints
    close: Ints
    volume: Ints

    def table(self, vwap: Floats) -> pa.Table:
        """As ``bars_1m``; vwap in cents."""
        prices = {n: getattr(self, n) / 100 for n in ("open", "high", "low", "close")}
        ts = pa.array(self.ts, pa.int64()).cast(pa.timestamp("ns", "UTC"))
        return pa.table(
            {"ts": ts, **prices, "volume": self.volume, "vwap": np.round(vwap / 100, 4)}
        )


def is_synthetic_complete(root: Path) -> bool:
    """Whether ``root`` has a synthetic catalog that was written to its end by this version."""
    try:
        return (root / _MARKER).read_text("utf-8").startswith(f"version {_VERSION}\n")
    except (FileNotFoundError, NotADirectoryError):
        return False


def write_synthetic(root: Path, seed: int = 7) -> None:
    """Write the synthetic catalog: bars of all days, ``daily``, trades and quotes of one day.

    A marker file comes last, so an interrupted write is known and can be done again.
    """
    root.mkdir(parents=True, exist_ok=True)
    (root / _MARKER).unlink(missing_ok=True)
    calendar = TradingCalendar("XNYS", Hours.EXTENDED, 0, FIRST_DAY, LAST_DAY)
    days, _ = calendar.range(FIRST_DAY, LAST_DAY)
    text = _README.format(symbols=len(COMPANIES), days=len(days), seed=seed)
    (root / "README.txt").write_text(text, "utf-8")
    target = _Target(root, {"source": f"synthetic, seed {seed}", "zone": str(calendar.zone)})
    for number, company in enumerate(COMPANIES):
        _write_company(target, company, days, np.random.default_rng([seed, number]))
    (root / _MARKER).write_text(f"version {_VERSION}\nseed {seed}\n", "utf-8")


class _Target:
    """The folder that is written into."""

    def __init__(self, root: Path, metadata: dict[str, str]) -> None:
        self._root = root
        self._metadata = metadata
        self._fs = pafs.LocalFileSystem()
        self._folders = Folders(self._fs)

    def write(self, relative: str, table: pa.Table) -> None:
        path = str(self._root / relative)
        with DayWriter(self._fs, path, self._metadata, self._folders) as writer:
            writer.add(table)


def _write_company(
    target: _Target, company: Company, days: list[TradingDay], rng: np.random.Generator
) -> None:
    last_cents = company.first_cents
    daily = []
    for day in days:
        bars = _invent_bars(company, day, last_cents, rng)
        vwap = np.floor((bars.high + bars.low + 2 * bars.close) / 4)
        if day.date == TICK_DAY:
            trades, vwap = invent_trades(bars, day, rng)
            quotes = invent_quotes(trades, rng)
            target.write(day_path("trades", company.symbol, day.date), trades)
            target.write(day_path("quotes", company.symbol, day.date), quotes)
        target.write(day_path("bars_1m", company.symbol, day.date), bars.table(vwap))
        daily.append(_daily_row(bars, day))
        last_cents = int(bars.close[-1])
    table = whole_sizes(pa.Table.from_pylist(daily, DAILY), ("volume",))
    target.write(side_path("daily", company.symbol), table)


def _invent_bars(
    company: Company, day: TradingDay, last_cents: int, rng: np.random.Generator
) -> Bars:
    """A walk from the last close over the day's minutes; the bar at the close is its auction."""
    ts = _minutes(company, day, rng)
    count, step = len(ts), company.step_cents
    auction = ts == day.close_ns
    opening = rng.integers(-1, 2, count)
    opening[0] += rng.integers(-5 * step, 5 * step + 1)
    moves = rng.integers(-step, step + 1, count)
    moves[auction] = 0
    close = last_cents + np.cumsum(opening + moves)
    close += max(0, 500 - int(close.min()))  # nothing falls below five dollars
    first = close - moves
    spread = np.where(auction, 0, step)
    high = np.maximum(first, close) + rng.integers(0, spread + 1)
    low = np.minimum(first, close) - rng.integers(0, spread + 1)
    volume = _volumes(company, day, ts, rng)
    return Bars(ts, first, high, low, close, volume)


def _minutes(company: Company, day: TradingDay, rng: np.random.Generator) -> Ints:
    """Starts of a day's bars: the regular minutes that are there, the auction, few others."""
    regular = day.regular_minutes()
    kept = rng.random(len(regular)) >= company.missing
    kept[0] = True
    before = np.arange(day.first_ns, day.open_ns, MINUTE_NS)
    after = np.arange(day.close_ns + MINUTE_NS, day.hours_end_ns, MINUTE_NS)
    few = 0.06 * (1 - company.missing)
    return np.concatenate(
        [
            before[rng.random(len(before)) < few],
            regular[kept],
            [day.close_ns],
            after[rng.random(len(after)) < few],
        ]
    )


def _volumes(company: Company, day: TradingDay, ts: Ints, rng: np.random.Generator) -> Ints:
    """Shares by minute: most at both ends of the day, a great auction, little outside."""
    middle = (day.open_ns + day.close_ns) // 2
    from_middle = np.abs(ts - middle) / (day.close_ns - middle)
    shares = company.shares_a_minute * (0.4 + 1.2 * from_middle**2) * (0.3 + rng.random(len(ts)))
    shares[(ts < day.open_ns) | (ts > day.close_ns)] *= 0.05
    shares[ts == day.close_ns] *= 40
    volume: Ints = np.floor(shares).astype(np.int64) + 500
    return volume


def _daily_row(bars: Bars, day: TradingDay) -> dict[str, object]:
    """The official day: regular minutes and the closing auction."""
    inside = (bars.ts >= day.open_ns) & (bars.ts <= day.close_ns)
    return {
        "date": day.date,
        "open": int(bars.open[inside][0]) / 100,
        "high": int(bars.high[inside].max()) / 100,
        "low": int(bars.low[inside].min()) / 100,
        "close": int(bars.close[inside][-1]) / 100,
        "volume": float(bars.volume[inside].sum()),
    }
