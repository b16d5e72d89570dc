"""Rows of a program: what they may hold, and what is said where they cannot."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import numpy as np
import pytest

from app.errors import FeedError, TimeError
from app.feed.rows import rows_to_items
from app.model import Dictionary, Flag, StreamType
from app.times import MINUTE_NS
from tests.feed.fakes import ELIGIBLE, bar_items

BAR: dict[str, Any] = {"ts": 0, "open": 1, "high": 2.5, "low": 0.5, "close": 2, "volume": 10}
TRADE: dict[str, Any] = {"ts": 5, "price": 1.5, "size": 3}
QUOTE: dict[str, Any] = {"ts": 5, "bid": 1, "bid_size": 2, "ask": None, "ask_size": None}


def test_a_bar_is_released_a_minute_after_its_start() -> None:
    east = timezone(timedelta(hours=-5))
    rows = [BAR, BAR | {"ts": datetime(1970, 1, 1, 0, 1, tzinfo=UTC), "vwap": 1.75},
            BAR | {"ts": datetime(1969, 12, 31, 19, 2, tzinfo=east)}]  # fmt: skip
    items = rows_to_items(StreamType.BAR, rows, Dictionary())
    assert items["release_ns"].tolist() == [MINUTE_NS, 2 * MINUTE_NS, 3 * MINUTE_NS]
    assert items["stream"].tolist() == [1, 1, 1]
    assert items["flags"].tolist() == [Flag.COMPLETE] * 3
    assert items["v"][1].tolist() == [1, 2.5, 0.5, 2, 10, 1.75, 1]
    assert math.isnan(items["v"][0, 5])


def test_trades_with_texts_and_eligibility() -> None:
    words = Dictionary()
    rows = [
        TRADE | {"exchange": "N", "conditions": None},
        TRADE | {"suspicious": True},
        TRADE | {"suspicious": True, "updates_volume": True, "auction": "close"},
        TRADE | {"updates_last": False, "auction": "open"},
    ]
    items = rows_to_items(StreamType.TRADE, rows, words)
    assert items["flags"].tolist() == [
        ELIGIBLE,
        Flag.SUSPICIOUS,
        Flag.SUSPICIOUS | Flag.VOLUME | Flag.AUCTION_CLOSE,
        Flag.HIGH_LOW | Flag.VOLUME | Flag.AUCTION_OPEN,
    ]
    assert words.look_up(items["v"][:, 2]) == ["N", None, None, None]
    assert items["release_ns"].tolist() == [5] * 4


def test_a_quote_may_lack_a_side() -> None:
    items = rows_to_items(StreamType.QUOTE, [QUOTE | {"side": "B"}], Dictionary())
    assert items["v"][0, :2].tolist() == [1.0, 2.0]
    assert np.isnan(items["v"][0, 2:4]).all()


def test_records_are_copied() -> None:
    given = bar_items([1, 2])
    items = rows_to_items(StreamType.BAR, given, Dictionary())
    items["symbol"] = 9
    assert given["symbol"].tolist() == [0, 0]
    assert len(rows_to_items(StreamType.BAR, [], Dictionary())) == 0


@pytest.mark.parametrize(
    ("row", "says"),
    [
        ({**BAR, "ts": "2024-01-02"}, "row 2: 'ts' is '2024-01-02'; give an aware datetime"),
        ({**BAR, "ts": True}, "row 2: 'ts' is True"),
        ({**BAR, "ts": None}, "row 2: 'ts' is None"),
        ({**BAR, "ts": 2**63}, "row 2: 'ts' is 9223372036854775808 ns; years 1678 to 2261"),
        ({k: v for k, v in BAR.items() if k != "close"}, "row 2: no field 'close'; it has"),
        ({**BAR, "close": "dear"}, "row 2: 'close' is 'dear'; give a number"),
        ({**BAR, "close": [1]}, "row 2: 'close' is"),
        ({**BAR, "volume": 2**53}, "row 2: 'volume' is 9007199254740992; whole numbers below"),
    ],
)
def test_a_wrong_row_is_named_by_number_and_field(row: dict[str, Any], says: str) -> None:
    with pytest.raises(FeedError) as caught:
        rows_to_items(StreamType.BAR, [BAR, row], Dictionary())
    assert str(caught.value).startswith(says)


def test_a_text_that_is_none_is_named() -> None:
    with pytest.raises(FeedError, match="row 1: 'exchange' is 5; give text or None"):
        rows_to_items(StreamType.TRADE, [TRADE | {"exchange": 5}], Dictionary())


def test_a_naive_time_and_a_foreign_array_are_refused() -> None:
    naive = datetime(2024, 1, 2)  # noqa: DTZ001
    with pytest.raises(TimeError, match="without zone"):
        rows_to_items(StreamType.BAR, [BAR | {"ts": naive}], Dictionary())
    with pytest.raises(FeedError, match="an array of float64 was fed"):
        rows_to_items(StreamType.BAR, np.zeros(3), Dictionary())  # type: ignore[arg-type]
