"""Each order type against quotes and trades, with hand-computed prices."""

from __future__ import annotations

from typing import Any

import pytest

from app.model import Items
from tests.trading.execution.kit import Pit, order
from tests.trading.harness import DAYS, bar, minute, quote, trade, window

T = minute(0)
S = 1_000_000_000

# What the order meets after it: (bid, ask) or a price; the number of the filling tick and price.
Tick = tuple[float, float] | float
TICKS: list[tuple[str, dict[str, Any], list[Tick], tuple[int, float] | None]] = [
    # -- quotes: a taker pays the opposite side
    ("buy market", {}, [(99, 101)], (1, 101)),
    ("sell market", {}, [(99, 101)], (1, 99)),
    # A limit that is marketable when it comes to rest takes the ask; one that rests is hit.
    ("buy limit", {"limit": 101.0}, [(99, 100.5)], (1, 100.5)),
    ("buy limit", {"limit": 101.0}, [(99, 101)], (1, 101)),
    ("buy limit", {"limit": 101.0}, [(101, 102), (100, 100.5)], (2, 101)),
    ("buy limit", {"limit": 101.0}, [(101, 102), (100, 101)], (2, 101)),
    ("buy limit", {"limit": 101.0}, [(101, 102), (100, 101.01)], None),
    ("sell limit", {"limit": 100.0}, [(100.5, 102)], (1, 100.5)),
    ("sell limit", {"limit": 100.0}, [(99, 102), (100.5, 102)], (2, 100)),
    # Stops are reached by the side they would trade at.
    ("buy stop", {"stop": 102.0}, [(101, 101.99), (101, 102.5)], (2, 102.5)),
    ("buy stop", {"stop": 102.0}, [(101, 102)], (1, 102)),
    ("sell stop", {"stop": 98.0}, [(98.01, 99), (97.5, 99)], (2, 97.5)),
    ("buy stop_limit", {"stop": 102.0, "limit": 103.0}, [(101, 102.5)], (1, 102.5)),
    ("buy stop_limit", {"stop": 102.0, "limit": 103.0}, [(103, 104), (101, 102)], (2, 103)),
    ("buy stop_limit", {"stop": 102.0, "limit": 103.0}, [(101, 101.5), (100, 101)], None),
    # Trailing: the first quote sets the level (bid 100 - 2), then it follows the bid.
    ("sell trailing_stop", {"trail": 2.0}, [(100, 103), (98, 103)], (2, 98)),
    ("sell trailing_stop", {"trail": 2.0}, [(100, 103), (101, 103), (99, 103)], (3, 99)),
    ("sell trailing_stop", {"trail": 2.0}, [(100, 103), (101, 103), (99.01, 103)], None),
    ("buy trailing_stop", {"trail": 2.0}, [(98, 100), (98, 99), (98, 101)], (3, 101)),
    # -- trades
    ("buy market", {}, [101.0], (1, 101)),
    ("buy limit", {"limit": 101.0}, [100.5], (1, 100.5)),
    ("buy limit", {"limit": 101.0}, [101.0], None),
    ("buy limit touch", {"limit": 101.0}, [101.0], (1, 101)),
    ("buy limit", {"limit": 101.0}, [101.5, 101.0, 100.99], (3, 101)),
    ("buy limit touch", {"limit": 101.0}, [101.5, 101.0], (2, 101)),
    ("sell limit", {"limit": 100.0}, [99.5, 100.0, 100.01], (3, 100)),
    ("buy stop", {"stop": 102.0}, [101.99, 102.0], (2, 102)),
    ("buy stop", {"stop": 102.0}, [102.7], (1, 102.7)),
    ("sell stop", {"stop": 98.0}, [98.01, 97.2], (2, 97.2)),
    ("buy stop_limit", {"stop": 102.0, "limit": 103.0}, [102.5], (1, 102.5)),
    ("buy stop_limit", {"stop": 102.0, "limit": 103.0}, [103.5, 103.0, 102.9], (3, 103)),
    ("buy stop_limit", {"stop": 102.0, "limit": 102.0}, [102.0, 102.0, 101.9], (3, 102)),
    ("buy stop_limit touch", {"stop": 102.0, "limit": 102.0}, [102.0], (1, 102)),
    ("sell trailing_stop", {"trail": 2.0}, [100.0, 103.0, 101.01, 101.0], (4, 101)),
    ("buy trailing_stop", {"trail": 100.0, "trail_in_bps": True}, [100.0, 101.0], (2, 101)),
]  # fmt: skip


@pytest.mark.parametrize(("what", "terms", "ticks", "fill"), TICKS)
def test_ticks(
    what: str, terms: dict[str, Any], ticks: list[Tick], fill: tuple[int, float] | None
) -> None:
    side, type, *touch = what.split()
    rows = [_row(i, tick) for i, tick in enumerate(ticks, 1)]
    pit = Pit({"fill_on_touch": bool(touch)})
    pit.market.add(rows)  # the day has them, so the source is known before the first
    pit.at(T)
    pit.approve(order(1, type, side, **terms))
    for row in rows:
        pit.engine.on_window(window([row], pit.day))

    found = [(f.ts_event_ns, f.price_time_ns, f.price) for f in pit.fills]
    assert found == ([] if fill is None else [(T + fill[0] * S, T + fill[0] * S, fill[1])])
    source = "quotes" if isinstance(ticks[0], tuple) else "trades"
    assert all(f.source == source for f in pit.fills)


def _row(number: int, tick: Tick) -> Items:
    if isinstance(tick, tuple):
        return quote(0, T + number * S, *tick)
    return trade(0, T + number * S, tick)


def test_a_tick_at_the_time_of_the_order_is_one_it_has_seen() -> None:
    pit = Pit()
    pit.play(trade(0, T, 100.0))
    pit.approve(order(1))
    assert pit.filled() == []
    pit.play(trade(0, T + 1, 101.0))
    assert pit.filled() == [("1", 100.0, 101.0)]


def test_a_quote_at_the_time_of_the_order_is_one_it_has_seen() -> None:
    pit = Pit()
    pit.play(quote(0, T, 99, 100))
    pit.approve(order(1), order(2, "limit", limit=100.0))
    assert pit.filled() == []
    pit.play(quote(0, T + 1, 101, 102))
    assert pit.filled() == [("1", 100.0, 102.0)]


def test_the_first_quote_and_no_trade_sets_a_trailing_level() -> None:
    """The last trade was at 100; the bid is 95, and 93 is the level."""
    pit = Pit()
    pit.market.add([quote(0, T + S, 95, 96)])
    pit.play(trade(0, T, 100.0))
    pit.approve(order(1, "trailing_stop", "sell", trail=2.0))
    assert pit.updates(1)[-1].stop_price is None
    pit.play(quote(0, T + S, 95, 96), quote(0, T + 2 * S, 93, 94))
    assert [(f.price, f.ts_event_ns) for f in pit.fills] == [(93.0, T + 2 * S)]


def test_several_trades_of_one_slice_are_met_in_their_order() -> None:
    pit = Pit()
    pit.play(trade(0, T, 100.0))
    pit.approve(order(1, "limit", limit=99.0), order(2, "stop", stop=101.0))
    one = T + S
    pit.play(trade(0, one, 100.5), trade(0, one, 101.5), trade(0, one, 98.0))
    assert pit.filled() == [("2", 100.0, 101.5), ("1", 100.0, 99.0)]


def test_a_symbol_has_one_price_source_a_day() -> None:
    """Quotes before trades before bars, though others come first; decided day by day."""
    pit = Pit(symbols=("AAA", "BBB"))
    later = minute(5)
    pit.market.add([quote(0, later, 99, 101), trade(1, later, 50.0)])
    pit.approve(order(1), order(2, symbol="BBB"))
    pit.play(trade(0, T + S, 100.0), bar(0, minute(1), 7, 7, 7, 7), bar(1, minute(1), 7, 7, 7, 7))
    assert pit.filled() == []
    pit.play(quote(0, later, 99, 101), trade(1, later, 50.0))
    assert pit.filled() == [("2", 100.0, 50.0), ("1", 100.0, 101.0)]

    pit.roll()
    pit.approve(order(3))
    pit.play(bar(0, minute(0, DAYS[1]), 70, 70, 70, 70))
    assert pit.filled()[-1] == ("3", 100.0, 70.0)
