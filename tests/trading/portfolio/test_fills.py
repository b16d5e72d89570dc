"""Lots first in, first out, long and short, with their costs: numbers worked out by hand."""

from __future__ import annotations

import pytest

from app.trading.events import WarningEvent
from tests.trading.harness import bar, minute
from tests.trading.portfolio.desk import Desk, fill

M = [minute(n) for n in range(20)]


def played(*trades: tuple[float, float, float, float], mark: float = 20.0) -> Desk:
    """Trades of (quantity, price, commission, fees), one a minute from the second on; then a bar
    marks the symbol at ``mark``."""
    desk = Desk()
    desk.start()
    desk.play(bar(0, M[0], 10, 10, 10, 10))
    for number, (quantity, price, commission, fees) in enumerate(trades, 1):
        desk.send(fill(number, M[number], quantity, price, commission=commission, fees=fees))
    desk.play(bar(0, M[18], mark, mark, mark, mark))
    desk.engine.advance(desk.context.days[0].close_ns)
    return desk


@pytest.mark.parametrize(
    ("trades", "cash", "quantity", "average", "realised", "unrealised", "costs"),
    [
        # Bought 100 at 10, worth 20.
        ([(100, 10, 1, 0)], "98999.00000000", 100, 10, 0, 1000, 1),
        # 100 at 10 and 50 at 13: 1650 in all, 11 on average.
        ([(100, 10, 0, 0), (50, 13, 0, 0)], "98350.00000000", 150, 11, 0, 1350, 0),
        # Of these, 120 sold at 15: 100 x 5 + 20 x 2 = 540; 30 at 13 are left.
        (
            [(100, 10, 1, 0), (50, 13, 1, 0), (-120, 15, 1, 0.25)],
            "100146.75000000", 30, 13, 540, 210, 3.25,
        ),
        # Sold short 100 at 30; worth 20: 1000 gained.
        ([(-100, 30, 1, 0)], "102999.00000000", -100, 30, 0, 1000, 1),
        # Covered 40 of them at 28: 80 gained, 60 are left.
        ([(-100, 30, 1, 0), (40, 28, 1, 0)], "101878.00000000", -60, 30, 80, 600, 2),
        # Long 100 at 10, then 150 sold at 12: 200 gained, and 50 short at 12 (a loss of 400).
        ([(100, 10, 0, 0), (-150, 12, 3, 0)], "100797.00000000", -50, 12, 200, -400, 3),
        # Short 50 at 30, then 80 bought at 25: 250 gained, and 30 long at 25 (a loss of 150).
        ([(-50, 30, 0, 0), (80, 25, 0, 0)], "99500.00000000", 30, 25, 250, -150, 0),
        # All of it closed.
        ([(100, 10, 1, 0), (-100, 9.5, 1, 0)], "99948.00000000", 0, 0, -50, 0, 2),
        # A third of a share at a price with many decimals: 0.33333333 x 0.00012345 =
        # 0.0000411499995885, kept as 0.00004115.
        (
            [(0.33333333, 0.00012345, 0, 0)],
            "99999.99995885", 0.33333333, 0.00012345, 0, 6.66662545, 0,
        ),
    ],
)  # fmt: skip
def test_fills(
    trades: list[tuple[float, float, float, float]], cash: str, quantity: float, average: float,
    realised: float, unrealised: float, costs: float,
) -> None:  # fmt: skip
    desk = played(*trades)
    state, position = desk.state, desk.position()
    assert state.cash == cash
    assert state.realised == realised
    assert state.unrealised == pytest.approx(unrealised, abs=1e-6)
    assert state.fees == costs
    assert state.net_exposure == pytest.approx(20 * quantity, abs=1e-6)
    assert state.gross_exposure == abs(state.net_exposure)
    assert state.equity == pytest.approx(float(cash) + 20 * quantity, abs=1e-6)
    assert (position.quantity, position.realised, position.fees) == (quantity, realised, costs)
    assert position.average_price == pytest.approx(average, rel=1e-4)


def test_round_trips_take_their_share_of_all_costs() -> None:
    """100 at 10 (2.00) and 50 at 13 (1.00); 120 sold at 15 for 2.40, then 30 at 16 for 0.30."""
    desk = played((100, 10, 2, 0), (50, 13, 1, 0), (-120, 15, 2, 0.4), (-30, 16, 0.3, 0))
    found = [(t.quantity, t.entry_price, t.exit_price, t.pnl, t.costs) for t in desk.trips]
    assert found == [
        (100, 10, 15, 496, 4),  # 500 - 2.00 - 2.40 x 100/120
        (20, 13, 15, 39.2, 0.8),  # 40 - 1.00 x 20/50 - 2.40 x 20/120
        (30, 13, 16, 89.1, 0.9),  # 90 - 0.60 - 0.30
    ]
    assert [(t.entry_ns, t.ts_event_ns) for t in desk.trips] == [
        (M[1], M[3]), (M[2], M[3]), (M[2], M[4]),
    ]  # fmt: skip
    assert {t.side for t in desk.trips} == {"buy"}


def test_costs_that_do_not_divide_are_dealt_out_whole() -> None:
    """1.00 over three shares: 0.33333333 twice, and what is left; the exits cost nothing."""
    desk = played((3, 10, 1, 0), (-1, 10, 0, 0), (-1, 10, 0, 0), (-1, 10, 0, 0))
    assert [t.costs for t in desk.trips] == [0.33333333, 0.33333334, 0.33333333]


def test_a_flip_closes_lots_before_it_opens_the_rest() -> None:
    """The exit's 3.00 belong by two thirds to the 100 closed, by one to the 50 opened."""
    desk = played((100, 10, 1, 0), (-150, 12, 3, 0), (50, 11, 0.5, 0))
    assert [(t.side, t.quantity, t.pnl, t.costs) for t in desk.trips] == [
        ("buy", 100, 197, 3),  # 200 - 1 - 2
        ("sell", 50, 48.5, 1.5),  # 50 - 1 - 0.50
    ]


def test_positions_of_strategies_are_their_own() -> None:
    desk = Desk(("AAA", "BBB"))
    desk.start()
    desk.play(bar(0, M[0], 10, 10, 10, 10), bar(1, M[0], 5, 5, 5, 5))
    desk.send(
        fill(1, M[1], 100, 10, strategy="one"),
        fill(1, M[1], -40, 10, strategy="two"),
        fill(2, M[1], 10, 5, strategy="two", symbol="BBB"),
    )
    desk.play(bar(0, M[1], 11, 11, 11, 11))
    desk.engine.advance(desk.context.days[0].close_ns)
    one, two = desk.position(strategy="one"), desk.position(strategy="two")
    assert (one.quantity, one.average_price, one.market_value) == (100, 10, 1000)
    assert (two.quantity, two.average_price, two.market_value) == (-40, 10, -400)
    # 60 shares of AAA at 11 in all, 10 of BBB at 5.
    assert (desk.state.net_exposure, desk.state.gross_exposure) == (710, 710)
    assert desk.state.cash == "99350.00000000"
    assert desk.state.unrealised == 100 - 40


def test_positions_are_told_when_they_were_touched() -> None:
    desk = Desk(("AAA", "BBB"))
    desk.start()
    desk.send(fill(2, M[1], 10, 5, symbol="BBB"), fill(1, M[2], 10, 5, symbol="AAA"))
    desk.engine.advance(desk.context.days[0].close_ns)
    told = [[p.symbol for p in s.positions] for s in desk.states]
    assert told == [["BBB"], ["AAA"], []]  # and the regular close


def test_a_fill_that_comes_twice_changes_nothing_and_is_told() -> None:
    desk = Desk()
    desk.start()
    once = fill(1, M[1], 100, 10, commission=1)
    desk.send(once)
    before = desk.state
    desk.send(once)
    assert [w.code for w in desk.seen.of(WarningEvent)] == ["duplicate_fill"]
    assert desk.state.cash == before.cash == "98999.00000000"
    assert desk.state.positions == ()
    assert desk.state.fees == 1


def test_without_a_mark_a_position_is_worth_what_was_paid() -> None:
    desk = Desk()
    desk.start()
    desk.send(fill(1, M[1], 100, 10), fill(2, M[2], 100, 11))
    assert desk.position().mark is None
    assert desk.position().market_value == 2200
    assert desk.state.equity == 100_100
    desk.play(bar(0, M[2], 9, 9, 9, 9))
    desk.end()
    assert (desk.state.equity, desk.state.unrealised) == (99_700, -300)


def test_a_position_that_nothing_marks_is_reported_once() -> None:
    desk = Desk()
    desk.start()
    desk.send(fill(1, M[1], 100, 10))
    desk.market.last_ns[0] = desk.context.days[-1].end_ns
    desk.roll()
    desk.end()
    warned = desk.seen.of(WarningEvent)
    assert [(w.code, w.symbol) for w in warned] == [("no_mark", "AAA")]
    assert desk.state.equity == 100_000
