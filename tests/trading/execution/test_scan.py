"""What of the market execution asks to see alone: nothing far away, nothing when idle."""

from __future__ import annotations

from typing import Any

import pytest

from app.model import Items, Window
from app.trading.data_events import MarketEvent
from tests.trading.execution.kit import Pit, order
from tests.trading.harness import bar, minute, trade, window


def scanned(pit: Pit, played: Window, low: int = 0) -> int:
    return pit.simulator.scan(MarketEvent(played, low, len(played.times_ns)))


def bars(*lows: float) -> list[Items]:
    return [bar(0, minute(n), 100, 101, low, 100) for n, low in enumerate(lows)]


def test_without_orders_nothing_is_asked_for() -> None:
    pit = Pit()
    assert scanned(pit, window(bars(99, 98))) == 2


SCANNED: list[tuple[str, dict[str, Any], int]] = [
    ("buy limit", {"limit": 98.0}, 2),  # lows 99, 99, 98, 95
    ("buy limit", {"limit": 96.0}, 3),
    ("buy limit", {"limit": 90.0}, 4),
    ("sell limit", {"limit": 101.0}, 0),
    ("sell limit", {"limit": 101.01}, 4),
    ("sell stop", {"stop": 98.5}, 2),
    ("buy stop", {"stop": 102.0}, 4),
    ("buy market", {}, 0),
    ("buy limit", {"limit": 90.0, "tif": "ioc"}, 0),
    ("buy limit", {"limit": 90.0, "post_only": True}, 0),
    ("sell trailing_stop", {"trail": 50.0}, 0),
    ("buy market_on_close", {}, 4),
]


@pytest.mark.parametrize(("what", "terms", "slice"), SCANNED)
def test_the_first_slice_that_matters(what: str, terms: dict[str, Any], slice: int) -> None:
    side, type = what.split()
    pit = Pit()
    played = window(bars(99, 99, 98, 95))
    pit.market.add([played.items])
    pit.approve(order(1, type, side, **terms))
    assert scanned(pit, played) == slice
    assert scanned(pit, played) == slice  # asking changes nothing


def test_other_symbols_and_other_sources_do_not_matter() -> None:
    pit = Pit(symbols=("AAA", "BBB"))
    rows = [bar(0, minute(0), 1, 1, 1, 1), trade(0, minute(2), 100), bar(1, minute(2), 1, 1, 1, 1)]
    played = window(rows)
    pit.market.add(rows)
    pit.approve(order(1))
    assert scanned(pit, played) == 1  # the trade, not the bar before it


def test_a_far_away_order_costs_one_look_a_window(monkeypatch: pytest.MonkeyPatch) -> None:
    from app.trading.services.execution import agenda, judge

    looks = []
    look = judge.first_row

    def counted(*terms: Any) -> int | None:
        looks.append(1)
        return look(*terms)

    monkeypatch.setattr(agenda, "first_row", counted)
    pit = Pit()
    pit.approve(order(1, "limit", limit=50.0, tif="gtc"))
    for first in range(0, 300, 100):
        pit.play(*(bar(0, minute(first + n), 100, 101, 99, 100) for n in range(100)))
    assert len(looks) == 3
    assert pit.fills == []
