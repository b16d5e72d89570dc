"""P&L by symbol, strategy, hour and day: each adds up to the whole."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.runs.report import write_report
from app.runs.report.summary import read_run, summary_of
from tests.runs_report.made import (
    DAYS,
    days_of,
    equity,
    event,
    facts,
    fill,
    minute,
    prices,
    trade,
    write_run,
)


def position(symbol: str, strategy: str, quantity: float, mark: float | None = None) -> Any:
    return {
        "strategy_id": strategy, "symbol": symbol, "quantity": quantity, "average_price": 100.0,
        "mark": mark,
    }  # fmt: skip


def test_by_symbol_and_strategy(tmp_path: Path) -> None:
    # A: bought 10 at 100, sold 4 at 110, 6 are worth 120: -1000 + 440 + 720 - 2 = 158, and a
    # dividend of 5. B: sold 2 at 50 short, worth -90: 100 - 90 - 1 = 9. Interest -3: 169 in all.
    fills = [
        fill("A", "buy", 10, 100.0, commission=1.0, strategy_id="x"),
        fill("A", "sell", 4, 110.0, commission=0.5, fees=0.5, strategy_id="x"),
        fill("B", "sell", 2, 50.0, commission=1.0, strategy_id="y"),
    ]
    positions = [
        position("A", "x", 10.0), position("B", "y", -2.0), position("A", "x", 6.0),
        position("C", "y", 3.0), position("C", "y", 0.0),
    ]  # fmt: skip
    cash = [
        event("cash", kind="dividend", amount="5.00000000", symbol="A", strategy_id="x"),
        event("cash", kind="interest", amount="-3.00000000"),
    ]
    run = write_run(
        tmp_path / "run", fills=fills, positions=positions, events=cash,
        round_trips=[trade(39.0, strategy_id="x")], equity=equity((minute(2), 1169.0)),
    )  # fmt: skip
    made = write_report(run, facts(marks={"A": 120.0, "B": 45.0}))
    rows = {row["symbol"]: row for row in made["pnl_by_symbol"]}
    assert {name: row["pnl"] for name, row in rows.items()} == {"A": 163.0, "B": 9.0, None: -3.0}
    assert rows["A"] == {
        "symbol": "A", "pnl": 163.0, "traded_value": 1440.0, "costs": 2.0, "fills": 2,
        "trades": 1, "winning_trades": 1,
    }  # fmt: skip
    rows = {row["strategy_id"]: row for row in made["pnl_by_strategy"]}
    assert {name: row["pnl"] for name, row in rows.items()} == {"x": 163.0, "y": 9.0, None: -3.0}
    assert made["statistics"]["pnl"] == 169.0


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ({"marks": {"A": 130.0}}, 300.0),
        ({"prices": {"A": prices([minute(1), minute(2)], [110.0, 120.0])}}, 200.0),
        ({}, 50.0),  # its own mark, of when it was last touched
    ],
)
def test_what_an_open_position_is_worth(
    tmp_path: Path, more: dict[str, Any], expected: float
) -> None:
    run = write_run(
        tmp_path / "run", fills=[fill("A", "buy", 10, 100.0)],
        positions=[position("A", "s", 10.0, mark=105.0)],
    )  # fmt: skip
    assert write_report(run, facts(**more))["pnl_by_symbol"][0]["pnl"] == expected


def test_by_hour_of_the_exchange(tmp_path: Path) -> None:
    # 10:00:00 belongs to the hour of 9, a nanosecond later to that of 10; Tuesday's open sees
    # what the night brought.
    at_ten = minute(30)
    rows = equity(
        (minute(1), 1010.0), (at_ten, 1030.0), (at_ten + 1, 1025.0), (DAYS[0].close_ns, 1125.0),
        (minute(1, DAYS[1]), 1065.0),
    )  # fmt: skip
    made = write_report(write_run(tmp_path / "run", equity=rows), facts())
    assert made["pnl_by_hour"] == [
        {"hour": 9, "pnl": -30.0},
        {"hour": 10, "pnl": -5.0},
        {"hour": 15, "pnl": 100.0},
    ]


def test_an_hour_is_the_same_on_both_sides_of_a_clock_change(tmp_path: Path) -> None:
    days = days_of("2024-03-08", "2024-03-11")
    rows = equity((minute(1, days[0]), 1001.0), (minute(1, days[1]), 1002.0))
    made = write_report(write_run(tmp_path / "run", equity=rows), facts(days=days))
    assert made["pnl_by_hour"] == [{"hour": 9, "pnl": 2.0}]


def test_by_day_and_weekday(tmp_path: Path) -> None:
    days = days_of("2024-07-01", "2024-07-08")  # Monday to Monday, without the 4th
    rows = equity(*((minute(5, day), 1000.0 + 10 * n * n) for n, day in enumerate(days)))
    late = equity((days[-1].close_ns + 10**9, 1251.0))
    made = write_report(write_run(tmp_path / "run", equity=rows + late), facts(days=days))
    assert [row["pnl"] for row in made["pnl_by_day"]] == [0.0, 10.0, 30.0, 50.0, 161.0]
    assert made["pnl_by_weekday"] == [
        {"weekday": "Monday", "pnl": 161.0, "days": 2},
        {"weekday": "Tuesday", "pnl": 10.0, "days": 1},
        {"weekday": "Wednesday", "pnl": 30.0, "days": 1},
        {"weekday": "Friday", "pnl": 50.0, "days": 1},
    ]


CENTS = st.integers(-5_000, 5_000).map(lambda cents: cents / 100)


@settings(max_examples=20, deadline=None)
@given(st.lists(st.tuples(st.integers(1, 2000), CENTS), max_size=20, unique_by=lambda p: p[0]))
def test_all_add_up(tmp_path_factory: Any, points: list[tuple[int, float]]) -> None:
    rows = equity(*((minute(n), 1000.0 + change) for n, change in sorted(points)))
    folder = tmp_path_factory.mktemp("run")
    made = summary_of(read_run(write_run(folder / "run", equity=rows), facts()))
    pnl = made["statistics"]["pnl"]
    for name in ("pnl_by_symbol", "pnl_by_strategy", "pnl_by_hour", "pnl_by_day", "pnl_by_weekday"):
        assert sum(row["pnl"] for row in made[name]) == pytest.approx(pnl, abs=1e-7), name
