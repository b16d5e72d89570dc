"""Data on which nothing fills."""

from __future__ import annotations

import numpy as np
import pytest

from app.model import Flag, Items
from app.trading.context import CorporateAction
from tests.trading.execution.kit import Pit, order
from tests.trading.harness import DAYS, bar, minute, quote, trade

S = 1_000_000_000
HALT = ("AAA", minute(1), minute(3))

SKIPPED: list[tuple[str, Items, Items, float]] = [
    ("post-close bar", bar(0, minute(1), 9, 9, 9, 9, flags=Flag.POST_CLOSE),
     bar(0, minute(2), 10, 10, 10, 10), 10),
    ("zero-volume bar", bar(0, minute(1), 9, 9, 9, 9, volume=0),
     bar(0, minute(2), 10, 10, 10, 10), 10),
    ("5m bar", bar(0, minute(1), 9, 9, 9, 9, interval_min=5), bar(0, minute(6), 10, 10, 10, 10),
     10),
    ("no ask", quote(0, minute(1), 9, np.nan, ask_size=np.nan), quote(0, minute(2), 9, 10), 10),
    ("no bid", quote(0, minute(1), np.nan, 9, bid_size=np.nan), quote(0, minute(2), 9, 10), 10),
    ("nothing at the ask", quote(0, minute(1), 8, 9, ask_size=0), quote(0, minute(2), 9, 10), 10),
    ("crossed", quote(0, minute(1), 9.01, 9), quote(0, minute(2), 10, 10), 10),
    ("post-close quote", quote(0, minute(1), 8, 9, flags=Flag.POST_CLOSE),
     quote(0, minute(2), 9, 10), 10),
    ("not eligible", trade(0, minute(1), 9, flags=Flag.VOLUME), trade(0, minute(2), 10), 10),
    ("post-close trade", trade(0, minute(1), 9, flags=Flag.LAST | Flag.POST_CLOSE),
     trade(0, minute(2), 10), 10),
]  # fmt: skip


@pytest.mark.parametrize(("what", "skipped", "used", "price"), SKIPPED)
@pytest.mark.parametrize("type", ["market", "limit"])
def test_nothing_fills_on(what: str, skipped: Items, used: Items, price: float, type: str) -> None:
    pit = Pit()
    pit.market.add([used])
    pit.approve(order(1, type, **({"limit": 50.0} if type == "limit" else {})))  # type: ignore[arg-type]
    pit.play(skipped)
    assert pit.filled() == [], what
    pit.play(used)
    assert pit.filled() == [("1", 100.0, price)]


def test_a_bar_that_began_before_the_order_does_not_fill_it() -> None:
    pit = Pit()
    pit.at(minute(0) + 30 * S)
    pit.approve(order(1))
    pit.play(bar(0, minute(0), 9, 9, 9, 9), bar(0, minute(1), 10, 10, 10, 10))
    assert pit.filled() == [("1", 100.0, 10.0)]


# A halt from minute 1 to 3: what begins or reaches into it is out, its end is not.
HALTED: list[tuple[Items, bool]] = [
    (bar(0, minute(0), 10, 10, 10, 10), True),
    (bar(0, minute(1), 10, 10, 10, 10), False),
    (bar(0, minute(2), 10, 10, 10, 10), False),
    (bar(0, minute(3), 10, 10, 10, 10), True),
    (trade(0, minute(1) - 1, 10), True),
    (trade(0, minute(1), 10), False),
    (trade(0, minute(3) - 1, 10), False),
    (trade(0, minute(3), 10), True),
    (quote(0, minute(2), 9, 10), False),
]


@pytest.mark.parametrize(("row", "fills"), HALTED)
def test_nothing_fills_while_a_symbol_is_halted(row: Items, fills: bool) -> None:
    pit = Pit(halts=(HALT, ("ZZZ", 0, 1)))
    pit.approve(order(1))
    pit.play(row)
    assert bool(pit.fills) is fills


def test_a_bar_that_a_halt_begins_in_does_not_fill() -> None:
    pit = Pit(halts=(("AAA", minute(1) + 30 * S, minute(2)),))
    pit.approve(order(1))
    pit.play(bar(0, minute(1), 9, 9, 9, 9), bar(0, minute(2), 10, 10, 10, 10))
    assert pit.filled() == [("1", 100.0, 10.0)]


def test_a_bar_that_spans_a_split_does_not_fill() -> None:
    split = CorporateAction("AAA", DAYS[1].date, "split", 7.0)
    pit = Pit(actions=[split])
    pit.play(bar(0, minute(0), 700, 700, 700, 700))
    pit.roll()
    pit.approve(order(1))
    first = minute(0, DAYS[1])
    pit.play(bar(0, first, 700, 700, 99, 100), bar(0, minute(1, DAYS[1]), 101, 102, 100, 101))
    assert pit.filled() == [("1", 100.0, 101.0)]
    assert pit.fills[0].arrival_price == 100.0  # 700 / 7: the spanning bar does not mark either


def test_an_order_without_data_works_until_its_end() -> None:
    pit = Pit(symbols=("AAA", "BBB"))
    pit.approve(order(1, symbol="BBB"))
    pit.play(bar(0, minute(0), 9, 9, 9, 9))
    pit.end()
    assert pit.states(1) == ["accepted", "working", "expired session_closed"]
