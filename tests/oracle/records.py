"""Items as 72-byte records: collected by stream, put in the total order, their words numbered."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

TRADE, QUOTE = 0x8000, 0x8001
RANK = {TRADE: 0, QUOTE: 1}  # bars: 1 + interval
FIELDS = {
    "bars": ("open", "high", "low", "close", "volume", "vwap", "minutes"),
    "trades": ("price", "size", "exchange", "conditions"),
    "quotes": ("bid", "bid_size", "ask", "ask_size", "exchange", "side"),
}
TEXTS = {TRADE: (2, 3), QUOTE: (4, 5)}
RECORD = np.dtype(
    {
        "names": ["release", "symbol", "stream", "flags", "values"],
        "formats": ["<i8", "<u4", "<u2", "<u2", ("<f8", 7)],
    }
)
Records = NDArray[np.void]


@dataclass
class Collected:
    """Pieces of the session before they are put in order."""

    pieces: list[Records] = field(default_factory=list)
    days: list[NDArray[np.int64]] = field(default_factory=list)
    starts: list[NDArray[np.int64]] = field(default_factory=list)
    words: dict[str, int] = field(default_factory=dict)
    delivered: Counter[tuple[str, str]] = field(default_factory=Counter)
    discarded: dict[tuple[str, str], dict[str, int]] = field(default_factory=dict)

    def add(self, symbol: int, name: tuple[str, str], code: int, rows: pa.Table) -> None:
        """Take delivered rows: columns start_ns, release_ns, day, flags and those of FIELDS."""
        records = np.zeros(rows.num_rows, RECORD)
        records["release"] = rows["release_ns"].to_numpy()
        records["symbol"], records["stream"] = symbol, code
        records["flags"] = rows["flags"].to_numpy()
        kind = {TRADE: "trades", QUOTE: "quotes"}.get(code, "bars")
        for place, column in enumerate(FIELDS[kind]):
            values = rows[column]
            if place in TEXTS.get(code, ()):
                records["values"][:, place] = self._codes(values)
            else:
                records["values"][:, place] = pc.fill_null(values.cast("double"), np.nan)
        self.pieces.append(records)
        self.days.append(rows["day"].to_numpy().astype(np.int64))
        self.starts.append(rows["start_ns"].to_numpy())
        self.delivered[name] += len(records)

    def _codes(self, texts: Any) -> NDArray[np.float64]:
        """Provisional numbers of words, -1 for null."""
        encoded = texts.combine_chunks().dictionary_encode()
        own = [self.words.setdefault(w, len(self.words)) for w in encoded.dictionary.to_pylist()]
        places = pc.fill_null(encoded.indices, len(own)).to_numpy(zero_copy_only=False)
        numbers: NDArray[np.float64] = np.array([*own, -1], float)[places]
        return numbers


def in_order(got: Collected) -> tuple[Records, NDArray[np.int64], NDArray[np.int64]]:
    """Records, days and starts in the total order; a stable sort keeps that of the source."""
    items = np.concatenate([np.zeros(0, RECORD), *got.pieces])
    day_of = np.concatenate([np.zeros(0, np.int64), *got.days])
    starts = np.concatenate([np.zeros(0, np.int64), *got.starts])
    code = items["stream"].astype(np.int64)
    rank = np.where(code == TRADE, RANK[TRADE], np.where(code == QUOTE, RANK[QUOTE], 1 + code))
    order = np.lexsort((items["symbol"], rank, items["release"]))
    items = items[order]
    items["values"][np.isnan(items["values"])] = np.nan
    items["values"] += 0.0
    return items, day_of[order], starts[order]


def number_words(
    items: Records, day_of: NDArray[np.int64], provisional: list[str]
) -> tuple[list[str], list[int]]:
    """Give words their numbers by first appearance; the words and the days they came on."""
    texts = np.full((len(items), 2), -1)
    for code, places in TEXTS.items():
        rows = np.flatnonzero(items["stream"] == code)
        texts[rows] = items["values"][rows][:, places]
    seen, at = np.unique(texts.ravel(), return_index=True)
    at, seen = at[seen >= 0], seen[seen >= 0]
    order = np.argsort(at)
    final = np.full(len(provisional) + 1, -1.0)  # the last one is null's
    final[seen[order]] = np.arange(len(order))
    for code, places in TEXTS.items():
        rows = np.flatnonzero(items["stream"] == code)
        for column, place in enumerate(places):
            items["values"][rows, place] = final[texts[rows, column]]
    return [provisional[i] for i in seen[order]], day_of[at[order] // 2].tolist()
