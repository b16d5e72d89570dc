"""Faults of earlier designs, each shown on a naive version first (design 10)."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from app.times import MINUTE_NS
from app.trading.events import OrderApprovedEvent
from app.trading.orders import Order, OrderType, Side
from tests.trading.execution.kit import Pit, order
from tests.trading.execution.test_properties import Player
from tests.trading.harness import bar, minute

Bar = tuple[float, float, float, float]
Fill = tuple[int, float]  # number of the bar, price
# Bars, how many of them are known when the order comes, the order: the fill.
Fills = Callable[[list[Bar], int, Order], Fill | None]


def ours(bars: list[Bar], known: int, one: Order) -> Fill | None:
    """A strategy sends the order at its last known bar; all bars lie in one window."""
    pit = Pit()
    now_ns = minute(known)
    approved = OrderApprovedEvent(ts_event_ns=now_ns, orders=(one,))
    pit.attach(Player({now_ns: [approved]}, pit.bus, alone=False))
    pit.play(*(bar(0, minute(i), *b) for i, b in enumerate(bars)))
    found = [((f.ts_event_ns - minute(1)) // MINUTE_NS, f.price) for f in pit.fills]
    assert len(found) < 2
    return found[0] if found else None


def _reached(one: Order, b: Bar) -> bool:
    price = one.limit_price if one.type is OrderType.LIMIT else one.stop_price
    if price is None:
        return True
    falls = (one.side is Side.BUY) is (one.type is OrderType.LIMIT)
    return b[2] <= price if falls else b[1] >= price


def naive_close(bars: list[Bar], known: int, one: Order) -> Fill | None:
    """Fills at the close of the bar that reaches the price."""
    return next(((i, bars[i][3]) for i in range(known, len(bars)) if _reached(one, bars[i])), None)


def naive_stop(bars: list[Bar], known: int, one: Order) -> Fill | None:
    """Fills at the stop, wherever the market opened."""
    for i in range(known, len(bars)):
        if _reached(one, bars[i]):
            return i, one.stop_price or one.limit_price or bars[i][0]
    return None


def naive_same_bar(bars: list[Bar], known: int, one: Order) -> Fill | None:
    """Looks at the newest bar that is known: the one that the order was made of."""
    for i in range(known - 1, len(bars)):
        if _reached(one, bars[i]):
            return i, one.limit_price or one.stop_price or bars[i][0]
    return None


def check_not_at_the_close(fills: Fills) -> None:
    bars: list[Bar] = [(100, 100, 100, 100), (100, 103, 97, 99.5)]
    assert fills(bars, 1, order(1, "limit", limit=98.0)) == (1, 98.0)
    assert fills(bars, 1, order(1, "limit", "sell", limit=102.0)) == (1, 102.0)
    assert fills(bars, 1, order(1, "stop", "sell", stop=98.0)) == (1, 98.0)
    assert fills(bars, 1, order(1, "stop", stop=102.0)) == (1, 102.0)


def check_gap(fills: Fills) -> None:
    down: list[Bar] = [(100, 100, 100, 100), (94, 95, 93, 94)]
    assert fills(down, 1, order(1, "stop", "sell", stop=98.0)) == (1, 94.0)
    up: list[Bar] = [(100, 100, 100, 100), (106, 107, 105, 106)]
    assert fills(up, 1, order(1, "stop", stop=102.0)) == (1, 106.0)


def check_later_bars_only(fills: Fills) -> None:
    bars: list[Bar] = [(100, 103, 97, 100), (101, 104, 96, 100)]
    assert fills(bars, 1, order(1)) == (1, 101.0)
    assert fills(bars, 1, order(1, "limit", limit=98.0)) == (1, 98.0)
    assert fills(bars[:1], 1, order(1, "stop", stop=102.0)) is None


def test_limit_and_stop_fills_at_the_bars_close() -> None:
    bars: list[Bar] = [(100, 100, 100, 100), (100, 103, 97, 99.5)]
    assert naive_close(bars, 1, order(1, "limit", limit=98.0)) == (1, 99.5)
    with pytest.raises(AssertionError):
        check_not_at_the_close(naive_close)
    check_not_at_the_close(ours)


def test_a_gap_through_a_stop_filled_at_the_stop() -> None:
    bars: list[Bar] = [(100, 100, 100, 100), (94, 95, 93, 94)]
    assert naive_stop(bars, 1, order(1, "stop", "sell", stop=98.0)) == (1, 98.0)
    with pytest.raises(AssertionError):
        check_gap(naive_stop)
    check_gap(ours)


def test_a_strategys_order_filled_on_the_bar_that_caused_it() -> None:
    bars: list[Bar] = [(100, 103, 97, 100), (101, 104, 96, 100)]
    assert naive_same_bar(bars, 1, order(1)) == (0, 100)
    with pytest.raises(AssertionError):
        check_later_bars_only(naive_same_bar)
    check_later_bars_only(ours)
