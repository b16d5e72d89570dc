"""Costs, slippage against arrival, and what became of the orders, by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from app.runs.report import write_report
from tests.runs_report.made import event, facts, fill, write_run


def report(folder: Path, **tables: list[dict[str, Any]]) -> dict[str, Any]:
    return write_report(write_run(folder / "run", **tables), facts())


def test_costs(tmp_path: Path) -> None:
    fills = [
        fill("A", "buy", 10, 100.0, commission=1.0, fees=0.0, slippage=0.02),
        fill("B", "sell", 20, 50.0, commission=1.5, fees=0.03, slippage=0.01),
    ]
    made = report(tmp_path, fills=fills)["statistics"]
    assert (made["commission"], made["fees"], made["slippage"]) == (2.5, 0.03, 0.4)
    assert made["costs"] == 2.93
    assert made["costs_bps"] == pytest.approx(14.65)  # of 2000
    assert made["traded_value"] == 2000.0


def test_many_cents_make_no_dust(tmp_path: Path) -> None:
    made = report(tmp_path, fills=[fill("A", "buy", 1, 1.0, commission=0.1)] * 10)
    assert made["statistics"]["commission"] == 1.0


def test_slippage_against_arrival(tmp_path: Path) -> None:
    # A buy 0.10 above arrival costs 1.00, a sale 0.05 above it gains 1.00, one is unknown,
    # a sale 0.20 below costs 2.00: 2.00 on 1000 + 1000 + 500.
    fills = [
        fill("A", "buy", 10, 100.1, arrival_price=100.0),
        fill("A", "sell", 20, 50.05, arrival_price=50.0),
        fill("A", "buy", 10, 90.0),
        fill("A", "sell", 10, 49.8, arrival_price=50.0),
    ]
    made = report(tmp_path, fills=fills)["statistics"]
    assert made["arrival_slippage"] == pytest.approx(2.0)
    assert made["arrival_slippage_bps"] == pytest.approx(8.0)


def test_no_arrival_price_is_known(tmp_path: Path) -> None:
    made = report(tmp_path, fills=[fill("A", "buy", 1, 1.0)])
    assert made["not_defined"]["arrival_slippage"] == "no fill has an arrival price"


def test_orders_and_fills_are_counted(tmp_path: Path) -> None:
    states = ["filled"] * 3 + ["cancelled", "expired", "expired", "rejected", "working"]
    fills = [
        fill("A", "buy", 1, 1.0, flags=["partial", "optimistic"]),
        fill("A", "buy", 1, 1.0, flags=["partial"]),
        fill("A", "buy", 1, 1.0, flags=["ambiguous"]),
        fill("A", "buy", 1, 1.0),
    ]
    orders = [{"order_id": str(n), "state": s, "type": "limit"} for n, s in enumerate(states)]
    made = report(tmp_path, orders=orders, fills=fills)["statistics"]
    assert (made["orders"], made["orders_filled"], made["orders_cancelled"]) == (8, 3, 1)
    assert (made["orders_expired"], made["orders_rejected"]) == (2, 1)
    assert made["orders_fill_rate"] == pytest.approx(3 / 7)
    assert (made["fills"], made["fills_partial"]) == (4, 2)
    assert (made["fills_ambiguous"], made["fills_optimistic"]) == (1, 1)


def test_refusals_and_warnings_by_code(tmp_path: Path) -> None:
    def refused(code: str) -> dict[str, Any]:
        return event("order_rejected", symbol="A", code=code, reason=f"because of {code}")

    events = [
        refused("tick"), refused("lot"), refused("lot"), refused("band"),
        event("warning", code="late", text="it came late"),
        event("order_update", code="lot"),  # another topic
    ]  # fmt: skip
    made = report(tmp_path, events=events)
    assert list(made["rejected_by_code"].items()) == [("lot", 2), ("band", 1), ("tick", 1)]
    assert made["warnings_by_code"] == {"late": 1}
    assert made["statistics"]["refusals"] == 4


def test_cash_without_fills(tmp_path: Path) -> None:
    events = [
        event("cash", kind="dividend", amount="4.70000000", symbol="A", strategy_id="s"),
        event("cash", kind="dividend", amount="-1.20000000", symbol="B", strategy_id="s"),
        event("cash", kind="interest", amount="-0.30000000"),
        event("cash", kind="borrow", amount="-0.25000000", symbol="B", strategy_id="s"),
    ]
    made = report(tmp_path, events=events)["statistics"]
    assert (made["dividends"], made["financing"]) == (3.5, -0.55)
