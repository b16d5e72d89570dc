"""The worst and best a lot was marked at while it was open."""

from __future__ import annotations

from itertools import pairwise

import pytest

from app.model import Flag, Items
from app.times import SECOND_NS
from app.trading.context import CorporateAction
from tests.trading.harness import DAYS, bar, minute, trade
from tests.trading.portfolio.desk import Desk, fill

M = [minute(n) for n in range(20)]


def closes(*prices: float, first: int = 0) -> list[Items]:
    """1m bars whose highs and lows reach far beyond their closes, which are the marks."""
    return [bar(0, M[first + n], p, p + 5, p - 5, p) for n, p in enumerate(prices)]


def excursions(desk: Desk) -> list[tuple[float | None, float | None]]:
    return [(t.mae, t.mfe) for t in desk.trips]


@pytest.mark.parametrize(
    ("quantity", "expected"),
    [(100, (-3, 4)), (-100, (-4, 3))],  # long and short from 10: marked between 7 and 14
)
def test_marks_while_open(quantity: float, expected: tuple[float, float]) -> None:
    """Open from the end of minute 2 (marked at 11) to that of minute 6, whose mark is too late."""
    desk = Desk(fills=[fill(1, M[2], quantity, 10), fill(2, M[6], -quantity, 12)])
    desk.start()
    desk.play(*closes(1, 11, 7, 14, 12, 99))
    assert excursions(desk) == [expected]


def test_the_price_of_the_exit_counts() -> None:
    desk = Desk(fills=[fill(1, M[2], 100, 10), fill(2, M[4], -50, 15), fill(3, M[4], -50, 6)])
    desk.start()
    desk.play(*closes(10, 11, 12, 13))
    assert excursions(desk) == [(1, 5), (-4, 2)]


def test_without_a_mark_there_is_the_exit_only() -> None:
    desk = Desk()
    desk.start()
    desk.send(fill(1, M[1], 100, 10), fill(2, M[2], -100, 12))
    assert excursions(desk) == [(2, 2)]


def test_each_lot_has_its_own() -> None:
    fills = [fill(1, M[1], 10, 10), fill(2, M[3], 10, 10), fill(3, M[5], -20, 10)]
    desk = Desk(fills=fills)
    desk.start()
    desk.play(*closes(10, 4, 9, 11, 10))
    assert excursions(desk) == [(-6, 1), (-1, 1)]


def test_strategies_whose_positions_cancel_out_are_marked_as_well() -> None:
    fills = [
        fill(1, M[1], 10, 10), fill(1, M[1], -10, 10, strategy="two"),
        fill(2, M[4], -10, 10), fill(2, M[4], 10, 10, strategy="two"),
    ]  # fmt: skip
    desk = Desk(fills=fills)
    desk.start()
    for row in closes(10, 8, 13, 10):
        desk.play(row)  # a window each
    assert excursions(desk) == [(-2, 3), (-3, 2)]


@pytest.mark.parametrize("cuts", [(), (2,), (1, 2, 3, 4, 5, 6)])
def test_windows_may_be_cut_anywhere(cuts: tuple[int, ...]) -> None:
    desk = Desk(fills=[fill(1, M[2], 100, 10), fill(2, M[6], -100, 12)])
    desk.start()
    rows = closes(1, 11, 7, 14, 12, 99)
    edges = [0, *cuts, len(rows)]
    for low, high in pairwise(edges):
        desk.play(*rows[low:high])
    assert excursions(desk) == [(-3, 4)]


def test_over_a_night_and_a_split() -> None:
    """Bought at 70, marked at 63 and 84; after 7:1 at 9.5 and 13: from 10 that is -1 and 3."""
    actions = [CorporateAction("AAA", DAYS[1].date, "split", 7.0)]
    desk = Desk(actions=actions, fills=[fill(1, M[1], 100, 70)])
    desk.start()
    desk.play(*closes(70, 63, 84))
    desk.roll()
    monday = DAYS[1].open_ns
    desk.play(bar(0, monday, 10, 10, 10, 9.5), trade(0, monday + 90 * SECOND_NS, 13))
    desk.send(fill(2, monday + 100 * SECOND_NS, -700, 11))
    assert excursions(desk) == [(-1, 3)]
    assert desk.trips[0].entry_price == 10
    assert desk.trips[0].pnl == 700


def test_only_what_may_mark_counts() -> None:
    desk = Desk()
    desk.start()
    desk.send(fill(1, M[1], 100, 10))
    close = DAYS[0].close_ns
    desk.play(
        trade(0, M[2], 1, flags=int(Flag.SUSPICIOUS)),
        bar(0, M[3], 10, 99, 1, 11),
        bar(0, M[3], 10, 99, 1, 50, interval_min=5),
        bar(0, close, 10, 99, 1, 70, flags=int(Flag.POST_CLOSE)),
    )
    desk.send(fill(2, DAYS[0].end_ns, -100, 10.5))
    assert excursions(desk) == [(0.5, 1)]
