"""What happens at a day's end: interest, borrow costs, symbols whose data has ended."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from app.trading.context import Instrument
from app.trading.events import StaleSymbolEvent
from app.trading.sections import PortfolioSection
from tests.trading.harness import DAYS, bar, minute
from tests.trading.portfolio.desk import Desk, fill

M = [minute(n) for n in range(20)]


def over_the_weekend(*trades: tuple[str, float, float], **section: Any) -> Desk:
    """Trades of (strategy, quantity, price) on Friday, a mark of 20; Monday and Tuesday are
    idle. The account begins with 100,000."""
    instruments = {"BBB": Instrument("BBB", borrow_bps=730.0)}
    desk = Desk(("AAA", "BBB"), section=PortfolioSection(**section), instruments=instruments)
    desk.market.last_ns.update({0: DAYS[2].end_ns, 1: DAYS[2].end_ns})
    desk.start()
    desk.play(bar(0, M[0], 20, 20, 20, 20), bar(1, M[0], 20, 20, 20, 20))
    for number, (strategy, quantity, price) in enumerate(trades, 1):
        name, _, symbol = strategy.partition("/")
        symbol = symbol or "AAA"
        desk.send(fill(number, M[number], quantity, price, strategy=name, symbol=symbol))
    desk.roll()
    desk.roll()
    desk.end()
    return desk


@pytest.mark.parametrize(
    ("trades", "section", "expected"),
    [
        # 100,000 x 3.65 % x 3 / 365 = 30.00 over the weekend; 100,030 for one night: 10.003.
        (
            [], {"cash_interest_bps": 365.0},
            [("interest", None, "30.00"), ("interest", None, "10.00")],
        ),
        # -100,000 at 7.3 %: 60.00; then -100,060 for a night: 20.012.
        (
            [("one", 10_000, 20)], {"margin_interest_bps": 730.0},
            [("interest", None, "-60.00"), ("interest", None, "-20.01")],
        ),
        # 1000 short at a mark of 20 at 3.65 %: 6.00 and 2.00; cash earns nothing here.
        (
            [("one", -1000, 20)], {"borrow_bps": 365.0, "margin_interest_bps": 730.0},
            [("borrow", "one", "-6.00"), ("borrow", "one", "-2.00")],
        ),
        # The instrument's own rate is 7.3 %.
        (
            [("one/BBB", -1000, 20)], {"borrow_bps": 365.0},
            [("borrow", "one", "-12.00"), ("borrow", "one", "-4.00")],
        ),
        # 1000 short in all, by two strategies that are short 1500: 4.00 and 2.00 of 6.00.
        (
            [("one", -1000, 20), ("two", -500, 20), ("zoe", 500, 20)], {"borrow_bps": 365.0},
            [
                ("borrow", "one", "-4.00"), ("borrow", "two", "-2.00"),
                ("borrow", "one", "-1.33"), ("borrow", "two", "-0.67"),
            ],
        ),
        # Nothing is borrowed where the account as a whole is not short.
        ([("one", -1000, 20), ("two", 1000, 20)], {"borrow_bps": 365.0}, []),
        # 0.006, then 0.002: less than half a cent is nothing.
        ([("one", -1, 20)], {"borrow_bps": 365.0}, [("borrow", "one", "-0.01")]),
        ([("one", -1000, 20)], {}, []),
    ],
)  # fmt: skip
def test_interest(
    trades: list[tuple[str, float, float]], section: dict[str, float],
    expected: list[tuple[str, str | None, str]],
) -> None:  # fmt: skip
    desk = over_the_weekend(*trades, **section)
    found = [(kind, strategy, str(amount)) for kind, _, strategy, amount in desk.cash_events()]
    assert found == expected
    total = sum(Decimal(amount) for _, _, amount in expected)
    spent = sum(Decimal(str(q)) * Decimal(str(p)) for _, q, p in trades)
    assert Decimal(desk.state.cash) == 100_000 + total - spent
    assert desk.state.equity == pytest.approx(100_000 + float(total))


def test_nothing_accrues_after_the_last_day() -> None:
    desk = Desk(section=PortfolioSection(cash_interest_bps=365.0))
    desk.start(2)
    desk.end()
    assert not desk.cash_events()


def stale(desk: Desk) -> list[tuple[str, int | None, int]]:
    return [(e.symbol, e.last_ns, e.ts_event_ns) for e in desk.seen.of(StaleSymbolEvent)]


def test_a_symbol_whose_data_ends() -> None:
    """AAA's last bar is Friday's; the position is open on Monday and on Tuesday."""
    desk = Desk(("AAA", "BBB"))
    desk.start()
    desk.play(bar(0, M[0], 20, 20, 20, 20), bar(1, M[0], 20, 20, 20, 20))
    desk.send(fill(1, M[1], 10, 20), fill(2, M[1], 10, 20, symbol="BBB"))
    desk.market.last_ns[1] = DAYS[2].end_ns
    desk.roll()
    assert not stale(desk)  # it has traded on Friday; who knows?
    desk.roll()
    assert stale(desk) == [("AAA", M[1], DAYS[1].end_ns)]
    desk.end()
    assert len(stale(desk)) == 1
    desk.engine.finish("completed")
    assert len(stale(desk)) == 1
    assert desk.position("AAA").stale
    assert not desk.position("BBB").stale
    assert desk.state.equity == 100_000


def test_a_symbol_that_is_not_held_is_not_reported() -> None:
    desk = Desk()
    desk.start()
    desk.play(bar(0, M[0], 20, 20, 20, 20))
    desk.send(fill(1, M[1], 10, 20), fill(2, M[2], -10, 20))
    desk.roll()
    desk.end()
    assert not stale(desk)


def test_a_run_that_ends_within_a_day_reports_as_well() -> None:
    desk = Desk()
    desk.start()
    desk.play(bar(0, M[0], 20, 20, 20, 20))
    desk.send(fill(1, M[1], 10, 20))
    desk.roll()
    desk.engine.advance(DAYS[1].open_ns)
    desk.engine.finish("completed")
    assert stale(desk) == [("AAA", M[1], DAYS[1].open_ns)]
