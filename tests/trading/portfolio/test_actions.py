"""Corporate actions on positions: hand-made, and the split of a real one."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from app.model import Items, make_items
from app.times import MINUTE_NS
from app.trading.context import CorporateAction, Instrument
from app.trading.events import CashEvent
from tests.trading.harness import DAYS, bar, days_of, minute, trade
from tests.trading.portfolio.desk import Desk, fill

M = [minute(n) for n in range(20)]
MONDAY = date(2013, 10, 7)


def held(*actions: CorporateAction, mark: float, **positions: float) -> Desk:
    """Strategies buy or sell AAA at 70 on Friday; it is marked, and Monday opens."""
    lots = [
        fill(n, M[n], quantity, 70, strategy=strategy)
        for n, (strategy, quantity) in enumerate(positions.items(), 1)
    ]
    desk = Desk(actions=actions)
    desk.start()
    desk.send(*lots)
    desk.play(bar(0, M[10], 70, 71, 69, mark))
    desk.roll()
    return desk


def test_a_cash_dividend() -> None:
    """0.475 a share on the ex-date: 101 long receive 47.98 (47.975), 50 short pay 23.75."""
    action = CorporateAction("AAA", MONDAY, "dividend", amount=0.475)
    desk = held(action, mark=80, long=101, short=-50)
    assert desk.cash_events() == [
        ("dividend", "AAA", "long", Decimal("47.98")),
        ("dividend", "AAA", "short", Decimal("-23.75")),
    ]
    assert [e.quantity for e in desk.seen.of(CashEvent)] == [101, -50]
    # 100,000 - 51 x 70 + 24.23; 51 shares at 80.
    assert desk.state.cash == "96454.23000000"
    assert desk.state.equity == 96_454.23 + 51 * 80
    assert desk.state.realised == 0
    assert [p.strategy_id for p in desk.state.positions] == ["long", "short"]
    assert desk.state.ts_event_ns == DAYS[1].first_ns - 1


def test_a_split_keeps_the_value_of_positions() -> None:
    desk = held(CorporateAction("AAA", MONDAY, "split", 7.0), mark=84, long=100, short=-30)
    before, after = desk.states[-2:]
    assert (after.equity, after.cash) == (before.equity, before.cash)
    assert (after.net_exposure, after.unrealised) == (before.net_exposure, before.unrealised)
    long, short = desk.position(strategy="long"), desk.position(strategy="short")
    assert (long.quantity, long.average_price, long.mark) == (700, 10, 12)
    assert (short.quantity, short.average_price, short.mark) == (-210, 10, 12)
    assert not desk.cash_events()


def test_a_reverse_split_pays_fractions() -> None:
    """1:10 at a mark of 7 (then 70): 105 become 10 and half a share, 35.00; -33 become -3 and
    three tenths, which cost 21.00."""
    desk = held(CorporateAction("AAA", MONDAY, "split", 0.1), mark=7, long=105, short=-33)
    assert desk.cash_events() == [
        ("split_fraction", "AAA", "long", Decimal("35.00")),
        ("split_fraction", "AAA", "short", Decimal("-21.00")),
    ]
    long, short = desk.position(strategy="long"), desk.position(strategy="short")
    assert (long.quantity, long.average_price, long.mark) == (10, 700, 70)
    assert (short.quantity, short.average_price) == (-3, 700)
    # Half a share had cost 350: a loss of 315; three tenths had brought 210: a gain of 189.
    assert (long.realised, short.realised) == (-315, 189)
    assert [(t.strategy_id, t.side, t.quantity, t.pnl, t.exit_price) for t in desk.trips] == [
        ("long", "buy", 0.5, -315, 70),
        ("short", "sell", 0.3, 189, 70),
    ]
    # 100,000 - 72 x 70 + 14; 7 shares at 70.
    assert (desk.state.cash, desk.state.equity) == ("94974.00000000", 95_464)


def test_a_position_below_one_share_is_paid_whole() -> None:
    desk = held(CorporateAction("AAA", MONDAY, "split", 0.1), mark=7, long=9)
    assert desk.position(strategy="long").quantity == 0
    assert desk.state.net_exposure == 0
    assert desk.cash_events() == [("split_fraction", "AAA", "long", Decimal("63.00"))]


def test_lots_keep_their_order_and_their_sum() -> None:
    """Three lots of one share, 1:3: one share is left, not 0.99999999."""
    desk = Desk(actions=[CorporateAction("AAA", MONDAY, "split", 1 / 3)])
    desk.start()
    desk.send(*(fill(n, M[n], 1, 10 * n) for n in (1, 2, 3)))
    desk.roll()
    assert desk.position().quantity == 1
    assert desk.position().average_price == 60
    assert not desk.cash_events()


def test_parts_of_a_share_stay_where_they_trade() -> None:
    instruments = {"AAA": Instrument("AAA", lot=0.01)}
    actions = [CorporateAction("AAA", MONDAY, "split", 0.1)]
    desk = Desk(actions=actions, instruments=instruments)
    desk.start()
    desk.send(fill(1, M[1], 105, 10))
    desk.roll()
    assert desk.position().quantity == 10.5
    assert not desk.cash_events()


def test_a_split_then_a_dividend_of_the_same_day() -> None:
    actions = (
        CorporateAction("AAA", MONDAY, "split", 2.0),
        CorporateAction("AAA", MONDAY, "dividend", amount=0.5),
    )
    desk = held(*actions, mark=70, long=100)
    assert desk.cash_events() == [("dividend", "AAA", "long", Decimal("100.00"))]


def test_actions_of_symbols_that_are_not_held_or_not_of_the_run() -> None:
    actions = [
        CorporateAction("ZZZ", MONDAY, "split", 2.0),
        CorporateAction("AAA", MONDAY, "dividend", amount=1.0),
        CorporateAction("AAA", MONDAY, "split", 2.0),
    ]
    desk = Desk(actions=actions)
    desk.start()
    desk.play(bar(0, M[0], 10, 10, 10, 10))
    desk.roll()
    assert not desk.cash_events()
    desk.send(fill(1, DAYS[1].open_ns, 10, 6))
    assert desk.position().mark == 5
    assert desk.state.equity == 100_000 - 60 + 50


def test_a_late_print_from_before_the_split_does_not_mark() -> None:
    """100 at 700 become 700 at 100; 699.5 is of the old shares, whoever prints it."""
    desk = Desk(
        days=DAYS, fills=[fill(1, minute(1), 100, 700)],
        actions=[CorporateAction("AAA", DAYS[1].date, "split", 7.0)],
    )  # fmt: skip
    desk.start()
    desk.play(bar(0, minute(0), 700, 700, 700, 700))
    desk.roll()
    opened = DAYS[1].open_ns
    desk.play(trade(0, opened + 1, 699.5), trade(0, opened + 2, 101.0), trade(0, opened + 3, 699.5))
    desk.end()
    desk.engine.finish("completed")
    values = [v for c in desk.seen.curves for v in c.equity.tolist()]
    assert values[-1] == 30_000 + 700 * 101
    assert max(values) == values[-1]


def apple(folder: Path, day: str) -> Items:
    file = folder / "parquet" / "bars_1m" / "symbol=AAPL" / f"date={day}.parquet"
    table = pq.read_table(file, partitioning=None)
    columns = [table[c].to_numpy() for c in ("open", "high", "low", "close", "volume")]
    return make_items(1, table["ts"].cast("int64").to_numpy() + MINUTE_NS, 0, *columns)


def test_apple_through_its_split(real_data: Path) -> None:
    """The first bar of the ex-date, 04:00 New York, reaches from 645.57 down to 92.23: it does not
    mark, so equity does not jump; the next closes at 92.46."""
    days = days_of("2014-06-06", "2014-06-09", "extended")
    actions = [CorporateAction("AAPL", date(2014, 6, 9), "split", 7.0)]
    friday, monday = apple(real_data, "2014-06-06"), apple(real_data, "2014-06-09")
    desk = Desk(("AAPL",), days=days, actions=actions)
    desk.start()
    bought = fill(1, int(friday["release_ns"][99]), 100, 648.0, symbol="AAPL")
    desk.exchange.waiting.append(bought)
    desk.play(friday)
    desk.roll()
    # Friday's last bar closes at 645.70.
    position = desk.position("AAPL")
    assert position.quantity == 700
    assert position.market_value == pytest.approx(64_570)
    assert desk.state.equity == pytest.approx(100_000 - 64_800 + 64_570, abs=1e-6)
    opened_ns = days[1].first_ns
    desk.play(monday[:1])
    desk.play(monday[1:])
    desk.end()
    desk.engine.finish("completed")
    times, equity = (
        np.concatenate([getattr(c, name) for c in desk.seen.curves])
        for name in ("times_ns", "equity")
    )
    after = times > opened_ns
    assert times[after][0] == opened_ns + 2 * MINUTE_NS  # not the bar of 04:00
    assert equity[after][0] == 35_200 + 700 * 92.46
    at = int(np.flatnonzero(after)[0])
    assert equity[at - 1] == pytest.approx(35_200 + 64_570, abs=1e-6)
    assert np.abs(np.diff(equity[at - 1 :])).max() < 1000  # 645.57 x 700 would be 450,000
    assert equity[-1] == 35_200 + 700 * 93.77  # the last bar of 19:59
    assert desk.state.ts_event_ns == days[1].close_ns
    at_close = int(times.searchsorted(days[1].close_ns, "right")) - 1
    assert equity[at_close] == desk.state.equity == 35_200 + 700 * 93.70
