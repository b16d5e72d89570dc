"""Frames of the stream as items: what a replay has of a row, by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from app.client import Slices
from app.errors import FeedError
from app.live.windows import WindowMaker
from app.model import QUOTE_CODE, TRADE_CODE, Dictionary, Flag
from tests.trading.harness import DAYS, minute

BAR = {"open": 1.0, "high": 2.0, "low": 0.5, "close": 1.5, "volume": 7, "vwap": None, "minutes": 1}


def column(rows: list[dict[str, Any]]) -> dict[str, list[Any]]:
    return {name: [row[name] for row in rows] for name in rows[0]}


def bar(at: int, symbol: str, *, minutes: int = 1, **flags: bool) -> dict[str, Any]:
    said = {"complete": True, "partial": False, "post_close": False} | flags
    return {"slice": at, "symbol": symbol, "ts": 0, **BAR, "minutes": minutes, **said}


def frame(times: list[int], **channels: list[dict[str, Any]]) -> Slices:
    plain: dict[str, Any] = {"type": "slices", "epoch": 1, "prev_seq": 0}
    plain |= {"seqs": [10 * n for n, _ in enumerate(times, 1)], "times": times}
    return Slices(plain | {name: column(rows) for name, rows in channels.items()})


def maker() -> WindowMaker:
    return WindowMaker(["AAA", "BBB"], DAYS, Dictionary())


def test_rows_of_all_channels_in_the_total_order() -> None:
    trade = {"symbol": "BBB", "ts": 0, "price": 9.5, "size": 3, "conditions": None}
    quote = {
        "slice": 1, "symbol": "AAA", "ts": 0, "bid": None, "bid_size": None, "ask": 3.5,
        "ask_size": 4, "exchange": "Q", "side": "A", "post_close": True,
    }  # fmt: skip
    slices = frame(
        [minute(4), minute(5)],
        bars_5m=[bar(1, "AAA", minutes=3, complete=False, partial=True)],
        bars_1m=[bar(0, "BBB"), bar(1, "AAA", post_close=True), bar(1, "BBB")],
        quotes=[quote],
        trades=[
            {**trade, "slice": 1, "exchange": "N", "post_close": False, "eligible": True,
             "auction": "close"},
            {**trade, "slice": 1, "exchange": None, "post_close": True, "eligible": False,
             "auction": None},
        ],
    )  # fmt: skip
    one = maker()
    (window,) = one.windows(slices)
    items = window.items
    assert items["stream"].tolist() == [1, TRADE_CODE, TRADE_CODE, QUOTE_CODE, 1, 1, 5]
    assert items["symbol"].tolist() == [1, 1, 1, 0, 0, 1, 0]
    assert items["release_ns"].tolist() == [minute(4)] + [minute(5)] * 6
    assert [Flag(f) for f in items["flags"].tolist()] == [
        Flag.COMPLETE, Flag.LAST | Flag.AUCTION_CLOSE, Flag.POST_CLOSE, Flag.POST_CLOSE,
        Flag.COMPLETE | Flag.POST_CLOSE, Flag.COMPLETE, Flag.PARTIAL,
    ]  # fmt: skip
    assert window.bounds.tolist() == [0, 1, 7]
    assert (window.day, window.first_seq, window.last_seq) == (0, 1, 2)
    values: Any = items["v"]
    np.testing.assert_array_equal(values[0], [1.0, 2.0, 0.5, 1.5, 7.0, np.nan, 1.0])
    np.testing.assert_array_equal(values[1], [9.5, 3.0, 0.0, -1.0, 0.0, 0.0, 0.0])
    np.testing.assert_array_equal(values[3], [np.nan, np.nan, 3.5, 4.0, 1.0, 2.0, 0.0])
    assert values[2, 2] == -1


def test_a_window_is_of_one_day_and_slices_are_counted_on() -> None:
    times = [minute(1), minute(2), minute(1, DAYS[1])]
    one = maker()
    first, second = one.windows(frame(times, bars_1m=[bar(n, "AAA") for n in range(3)]))
    assert [(w.day, w.first_seq, len(w.items)) for w in (first, second)] == [(0, 1, 2), (1, 3, 1)]
    assert second.bounds.tolist() == [0, 1]
    (third,) = one.windows(frame([minute(2, DAYS[1])], bars_1m=[bar(0, "BBB")]))
    assert third.first_seq == 4


@pytest.mark.parametrize("time_ns", [minute(-90), minute(600), minute(600, DAYS[-1])])
def test_a_slice_in_no_day_is_refused(time_ns: int) -> None:
    with pytest.raises(FeedError, match="same calendar and hours"):
        maker().windows(frame([time_ns], bars_1m=[bar(0, "AAA")]))
