"""Recorded data as a strategy in lockstep reads it: asked of the server, within its turn."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from app.errors import RequestError
from app.model import ITEM, Dictionary, Items, StreamType, copy_items, empty_items, stream_code
from app.trading.context import Close

Ask = Callable[[dict[str, Any]], dict[str, Any]]
_FIRST_ROWS = 256


class _Rows:
    """Rows of one stream that were read, and until when all of them are there."""

    def __init__(self) -> None:
        self.through_ns = -1
        self.shown = empty_items()
        self._all = empty_items(_FIRST_ROWS)
        self._count = 0

    @property
    def newest_ns(self) -> int:
        return int(self._all["release_ns"][self._count - 1]) if self._count else 0

    def add(self, more: Items, total: int, through_ns: int) -> None:
        """Rows after the newest; ``total`` of all are to be shown."""
        end = self._count + len(more)
        if end > len(self._all):
            grown = empty_items(2 * end)
            copy_items(grown[: self._count], self._all[: self._count])
            self._all = grown
        copy_items(self._all[self._count : end], more)
        self._count, self.through_ns = end, through_ns
        self.shown = self._all[end - total : end]
        self.shown.flags.writeable = False


class RemoteMarket:
    """A ``MarketReader`` of the server's session. What was read once is not asked for again."""

    def __init__(self, ask: Ask) -> None:
        self.words = Dictionary()
        self._ask = ask
        self._rows: dict[tuple[int, int], _Rows] = {}  # by symbol and stream code

    def bars(self, symbol: int, interval_min: int, now_ns: int, count: int | None = None) -> Items:
        """The newest ``count`` bars released by ``now_ns``, oldest first; of the days kept."""
        wish = {"what": "bars", "interval_min": interval_min}
        found = self._read(symbol, interval_min, now_ns, wish)
        return found if count is None else found[max(0, len(found) - count) :]

    def ticks(self, symbol: int, kind: StreamType, now_ns: int) -> Items:
        """Trades or quotes of the day of ``now_ns``, released by then, oldest first."""
        return self._read(symbol, stream_code(kind, 0), now_ns, {"what": kind.value})

    def history(self, symbol: int, interval_min: int, before_ns: int, bars: int) -> Items:
        """Up to ``bars`` regular bars released by ``before_ns`` from the catalog, for warm-up."""
        wish = {"what": "history", "interval_min": interval_min, "before_ns": before_ns}
        return _items(self._ask({**wish, "symbol": symbol, "count": bars}))

    def history_days(self, symbol: int, interval_min: int, day: int, days: int) -> Items:
        """Regular bars of up to ``days`` trading days before day number ``day``."""
        wish = {"what": "history_days", "interval_min": interval_min, "day": day}
        return _items(self._ask({**wish, "symbol": symbol, "count": days}))

    def official_close(self, symbol: int, day: int, now_ns: int) -> Close | None:
        """The close of a day as far as it is known at ``now_ns``; None before it is."""
        close = self._ask({"what": "official_close", "symbol": symbol, "day": day})["close"]
        return None if close is None else Close(**close)

    def has(self, symbol: int, kind: StreamType, day: int) -> bool:
        """What is delivered on a day is for the engine to know, at the server."""
        raise RequestError("a client in lockstep cannot ask what a day will deliver")

    def ends(self, symbol: int) -> int | None:
        """As ``has``."""
        raise RequestError("a client in lockstep cannot ask when a symbol's data ends")

    def _read(self, symbol: int, code: int, now_ns: int, wish: dict[str, Any]) -> Items:
        known = self._rows.setdefault((symbol, code), _Rows())
        if known.through_ns != now_ns:
            found = self._ask({**wish, "symbol": symbol, "after_ns": known.newest_ns})
            known.add(_items(found), int(found["total"]), now_ns)
        return known.shown


def _items(found: dict[str, Any]) -> Items:
    items: Items = np.frombuffer(found["rows"], ITEM)
    return items
