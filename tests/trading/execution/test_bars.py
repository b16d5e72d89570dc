"""Each order type against bars, with hand-computed prices."""

from __future__ import annotations

from typing import Any

import pytest

from tests.trading.execution.kit import Pit, order
from tests.trading.harness import bar, minute

Bar = tuple[float, float, float, float]

# The order rests from minute 1 on, when 100 was the last price. One bar, then the price or None.
ONE_BAR: list[tuple[str, dict[str, Any], Bar, float | None]] = [
    # -- market: the open
    ("buy market", {}, (101, 103, 99, 102), 101),
    ("sell market", {}, (101, 103, 99, 102), 101),
    # -- buy limit: min(open, limit); inside only if low < limit
    ("buy limit", {"limit": 99.0}, (98.5, 99.5, 98, 99), 98.5),
    ("buy limit", {"limit": 99.0}, (99, 100, 99, 100), 99),
    ("buy limit", {"limit": 99.0}, (100, 101, 98.99, 100), 99),
    ("buy limit", {"limit": 99.0}, (100, 101, 99, 100), None),
    ("buy limit", {"limit": 99.0}, (100, 101, 99.01, 100), None),
    ("buy limit touch", {"limit": 99.0}, (100, 101, 99, 100), 99),
    ("buy limit touch", {"limit": 99.0}, (100, 101, 99.01, 100), None),
    # -- sell limit
    ("sell limit", {"limit": 101.0}, (101.5, 102, 101, 102), 101.5),
    ("sell limit", {"limit": 101.0}, (101, 101, 100, 100), 101),
    ("sell limit", {"limit": 101.0}, (100, 101.01, 99, 100), 101),
    ("sell limit", {"limit": 101.0}, (100, 101, 99, 100), None),
    ("sell limit touch", {"limit": 101.0}, (100, 101, 99, 100), 101),
    # -- stop: the worse of open and stop, on a touch
    ("buy stop", {"stop": 102.0}, (103, 104, 101, 103), 103),
    ("buy stop", {"stop": 102.0}, (102, 104, 101, 103), 102),
    ("buy stop", {"stop": 102.0}, (101, 102, 100, 101), 102),
    ("buy stop", {"stop": 102.0}, (101, 101.99, 100, 101), None),
    ("sell stop", {"stop": 98.0}, (97, 99, 96, 98), 97),
    ("sell stop", {"stop": 98.0}, (99, 100, 98, 99), 98),
    ("sell stop", {"stop": 98.0}, (99, 100, 98.01, 99), None),
    # -- stop-limit: triggered at the open its limit works the whole bar
    ("buy stop_limit", {"stop": 102.0, "limit": 103.0}, (102.5, 104, 101, 104), 102.5),
    ("buy stop_limit", {"stop": 102.0, "limit": 103.0}, (103.5, 105, 102.9, 105), 103),
    ("buy stop_limit", {"stop": 102.0, "limit": 103.0}, (103.5, 105, 103, 105), None),
    # -- triggered inside: all of the bar within the limit, or the close back within it
    ("buy stop_limit", {"stop": 102.0, "limit": 103.0}, (101, 103, 100, 102.5), 102),
    ("buy stop_limit", {"stop": 102.0, "limit": 103.0}, (101, 104, 100, 102.5), 103),
    ("buy stop_limit", {"stop": 102.0, "limit": 103.0}, (101, 104, 100, 103), None),
    ("buy stop_limit touch", {"stop": 102.0, "limit": 103.0}, (101, 104, 100, 103), 103),
    ("buy stop_limit", {"stop": 102.0, "limit": 101.5}, (101, 102, 100, 101.4), 101.5),
    ("buy stop_limit", {"stop": 102.0, "limit": 101.5}, (101, 102, 100, 101.8), None),
    ("buy stop_limit", {"stop": 102.0, "limit": 103.0}, (101, 101.9, 100, 101), None),
    ("sell stop_limit", {"stop": 98.0, "limit": 97.0}, (97.5, 99, 96, 96), 97.5),
    ("sell stop_limit", {"stop": 98.0, "limit": 97.0}, (99, 100, 97, 97.5), 98),
    ("sell stop_limit", {"stop": 98.0, "limit": 97.0}, (99, 100, 96, 96.5), None),
    # -- trailing stop: 2 away from the arrival price of 100
    ("buy trailing_stop", {"trail": 2.0}, (101, 102, 100, 101), 102),
    ("buy trailing_stop", {"trail": 2.0}, (103, 104, 100, 101), 103),
    ("sell trailing_stop", {"trail": 2.0}, (99, 100, 98, 99), 98),
    ("sell trailing_stop", {"trail": 2.0}, (97, 100, 96, 99), 97),
    ("sell trailing_stop", {"trail": 2.0}, (99, 105, 98.01, 99), None),
    ("sell trailing_stop", {"trail": 200.0, "trail_in_bps": True}, (99, 100, 98, 99), 98),
    ("sell trailing_stop", {"trail": 2.0, "stop": 97.0}, (99, 100, 97.5, 99), None),
    ("sell trailing_stop", {"trail": 2.0, "stop": 97.0}, (99, 100, 97, 99), 97),
]  # fmt: skip


@pytest.mark.parametrize(("what", "terms", "one", "price"), ONE_BAR)
def test_one_bar(what: str, terms: dict[str, Any], one: Bar, price: float | None) -> None:
    side, type, *touch = what.split()
    pit = Pit({"fill_on_touch": bool(touch)})
    pit.play(bar(0, minute(0), 100, 100, 100, 100))
    pit.approve(order(1, type, side, **terms))
    pit.play(bar(0, minute(1), *one))

    assert pit.filled() == ([] if price is None else [("1", 100.0, price)])
    assert all(fill.source == "bars" and not fill.flags for fill in pit.fills)


# More bars, one after the other: the fill's bar (from 1) and price.
MORE_BARS: list[tuple[str, dict[str, Any], list[Bar], tuple[int, float] | None]] = [
    # Triggered in the first bar, the limit works from the second on like any limit.
    ("buy stop_limit", {"stop": 102.0, "limit": 103.0},
     [(101, 104, 100, 103.5), (103.5, 104, 102.9, 104)], (2, 103)),
    ("buy stop_limit", {"stop": 102.0, "limit": 103.0},
     [(101, 104, 100, 103.5), (102.9, 104, 102.9, 104)], (2, 102.9)),
    # The level follows the high after the test: 105 - 2 = 103, in the next bar.
    ("sell trailing_stop", {"trail": 2.0}, [(100, 105, 99, 104), (104, 104, 103, 103)], (2, 103)),
    ("sell trailing_stop", {"trail": 2.0}, [(100, 105, 99, 104), (104, 104, 103.01, 104)], None),
    # It never loosens: the second high is lower.
    ("sell trailing_stop", {"trail": 2.0},
     [(100, 105, 99, 104), (104, 104.5, 103.5, 104), (104, 104, 102, 102)], (3, 103)),
    # A buyer's follows the low: 97 + 2.
    ("buy trailing_stop", {"trail": 2.0}, [(100, 101, 97, 98), (98, 99, 97.5, 98)], (2, 99)),
    # In basis points of the best price: 110 x 0.98.
    ("sell trailing_stop", {"trail": 200.0, "trail_in_bps": True},
     [(100, 110, 99, 109), (109, 109, 107, 107)], (2, 107.8)),
    # A gap through the level.
    ("sell trailing_stop", {"trail": 2.0}, [(100, 105, 99, 104), (101, 102, 100, 101)], (2, 101)),
    # A market order waits for the next bar, however long it takes.
    ("buy market", {}, [(103, 104, 102, 103)], (1, 103)),
]  # fmt: skip


@pytest.mark.parametrize(("what", "terms", "bars", "fill"), MORE_BARS)
def test_more_bars(
    what: str, terms: dict[str, Any], bars: list[Bar], fill: tuple[int, float] | None
) -> None:
    side, type = what.split()
    pit = Pit()
    pit.play(bar(0, minute(0), 100, 100, 100, 100))
    pit.approve(order(1, type, side, **terms))
    pit.play(*(bar(0, minute(i), *one) for i, one in enumerate(bars, 1)))

    found = [(f.ts_event_ns, f.price) for f in pit.fills]
    assert found == ([] if fill is None else [(minute(fill[0] + 1), fill[1])])


def test_a_trailing_stop_without_a_price_starts_from_the_first_open() -> None:
    pit = Pit()
    pit.approve(order(1, "trailing_stop", "sell", trail=2.0))
    assert pit.updates(1)[-1].stop_price is None
    pit.play(bar(0, minute(0), 100, 101, 98.5, 100), bar(0, minute(1), 100, 100, 99, 99))
    assert pit.filled() == [("1", 100.0, 99.0)]  # the high of 101 less 2


def test_a_trailing_stop_reaches_its_first_level_within_the_same_bar() -> None:
    pit = Pit()
    pit.approve(order(1, "trailing_stop", "sell", trail=2.0))
    pit.play(bar(0, minute(0), 100, 101, 98, 100))
    assert pit.filled() == [("1", 100.0, 98.0)]


def test_the_price_time_is_the_start_at_the_open_and_the_end_inside() -> None:
    pit = Pit()
    pit.play(bar(0, minute(0), 100, 100, 100, 100))
    pit.approve(order(1, "limit", limit=99.0))
    pit.approve(order(2))
    pit.play(bar(0, minute(1), 100, 101, 98, 100))
    inside, at_open = pit.fills
    assert (at_open.order_id, at_open.price_time_ns) == ("s-2", minute(1))
    assert (inside.order_id, inside.price_time_ns) == ("s-1", minute(2))
    assert {at_open.ts_event_ns, inside.ts_event_ns} == {minute(2)}
    assert {at_open.arrival_price, inside.arrival_price} == {100.0}
