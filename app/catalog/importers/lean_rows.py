"""Rows of Lean's files as columns of the catalog."""

from __future__ import annotations

from datetime import date

import numpy as np
import pyarrow as pa

from app.catalog.importers.cast import Mask, to_texts, to_truths
from app.catalog.importers.lean_conditions import trade_eligibility
from app.catalog.importers.localtime import load_zone, resolve
from app.catalog.importers.rows import Rows
from app.catalog.importers.stamps import Stamps
from app.model import Floats, Ints
from app.times import DAY_NS

_PRICE_SCALE = 10_000.0
_MS_NS = 1_000_000
_EPOCH = date(1970, 1, 1)


def day_stamps(rows: Rows, column: pa.Array, day: date) -> Stamps:
    """Wall times of milliseconds since midnight; those outside the day are rejected."""
    values, null = rows.read_numbers("milliseconds", column)
    with np.errstate(over="ignore"):  # what is then infinite lies outside the day
        ns = np.rint(np.where(rows.bad | null, 0, values) * _MS_NS)
    rows.reject((ns < 0) | (ns >= DAY_NS), "time outside its day", "milliseconds", column)
    midnight = (day - _EPOCH).days * DAY_NS
    wall: Ints = np.where(rows.bad, 0, ns).astype(np.int64) + midnight
    return Stamps(wall, True, null, np.zeros(len(rows), bool))


def bar_columns(rows: Rows, cells: list[pa.Array]) -> dict[str, pa.Array]:
    """Time, open, high, low, close, volume."""
    names = ("open", "high", "low", "close")
    columns = {name: _price(rows, name, cells[1 + i]) for i, name in enumerate(names)}
    columns["volume"] = cells[5]
    return columns


def trade_columns(
    rows: Rows,
    cells: list[pa.Array],
    stamps: Stamps,
    session: tuple[int, int] | None,
    zone: str,
) -> dict[str, pa.Array]:
    """Time, price, size, exchange, conditions, suspicious."""
    conditions = to_texts(cells[4])
    suspicious, bad = to_truths(cells[5])
    rows.reject(bad, "neither true nor false", "suspicious", cells[5])
    utc = resolve(stamps.ns, load_zone(zone)).first_ns  # an hour off matters at no session's edge
    found = trade_eligibility(conditions, utc, suspicious, session)
    rows.reject(found.unreadable, "conditions that are no bit mask", "conditions", conditions)
    return {
        "price": _price(rows, "price", cells[1]),
        "size": cells[2],
        "exchange": cells[3],
        "conditions": conditions,
        "suspicious": pa.array(suspicious),
        "updates_last": pa.array(found.last),
        "updates_high_low": pa.array(found.high_low),
        "updates_volume": pa.array(found.volume),
        "auction": found.auction,
    }


class QuoteRows:
    """Time, bid, bid size, ask, ask size, exchange, (condition,) suspicious.

    A source row changes one side and has zeros for the other, which stays as it was:
    it is carried forward. Suspicious rows are rejected and change nothing.
    """

    def __init__(self) -> None:
        self._last = {"bid": (np.nan, np.nan), "ask": (np.nan, np.nan)}

    def columns(self, rows: Rows, cells: list[pa.Array]) -> dict[str, pa.Array]:
        """The next chunk of the file."""
        suspicious, bad = to_truths(cells[-1])
        rows.reject(bad, "neither true nor false", "suspicious", cells[-1])
        rows.reject(suspicious, "suspicious quote", "suspicious", cells[-1])
        sides = {}
        for at, name in ((1, "bid"), (3, "ask")):
            price, _ = rows.check_price(name, cells[at])
            size, null = rows.check_size(f"{name}_size", cells[at + 1])
            there = price > 0
            rows.reject(there & null, "null", f"{name}_size")
            sides[name] = (price / _PRICE_SCALE, size, there)
        changes_bid, changes_ask = sides["bid"][2], sides["ask"][2]
        rows.reject(~changes_bid & ~changes_ask, "quote without a side", "bid, ask")
        columns: dict[str, pa.Array] = {}
        for name, (price, size, there) in sides.items():
            carried = self._carry(name, price, size, there & ~rows.bad)
            for field, values in zip((name, f"{name}_size"), carried, strict=True):
                columns[field] = pa.array(values, mask=np.isnan(values))
        side = np.where(changes_bid, "B", "A")
        columns["exchange"] = cells[5]
        columns["side"] = pa.array(side, pa.string(), mask=changes_bid & changes_ask)
        return columns

    def _carry(self, name: str, price: Floats, size: Floats, there: Mask) -> tuple[Floats, Floats]:
        """Price and size of a side after each row; the last ones are kept for the next chunk."""
        before = self._last[name]
        places = np.maximum.accumulate(np.where(there, np.arange(1, len(there) + 1), 0))
        prices = np.concatenate(([before[0]], price))[places]
        sizes = np.concatenate(([before[1]], size))[places]
        if len(places):
            self._last[name] = (float(prices[-1]), float(sizes[-1]))
        return prices, sizes


def _price(rows: Rows, name: str, column: pa.Array) -> pa.Array:
    values, null = rows.read_numbers(name, column)
    return pa.array(values / _PRICE_SCALE, mask=null)
