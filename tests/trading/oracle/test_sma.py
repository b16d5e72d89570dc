"""The whole engine on real days, against numpy: the same fills, the same equity to the cent."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from app.managers.system_manager.backtest import BacktestEngine, BacktestResult
from tests.trading.oracle.recompute import account_at_closes
from tests.trading.oracle.sma import equity_at_closes, fills_of

STRATEGY = Path(__file__).parent / "strategies" / "sma.py"
OCTOBER = ["2013-10-04", "2013-10-07", "2013-10-08"]
AUTUMN = [
    str(d)
    for d in np.arange("2024-10-28", "2024-12-03", dtype="datetime64[D]")
    if np.is_busday(d) and str(d) != "2024-11-28"
]
CASES = {
    "SPY 2013": (["SPY"], OCTOBER, 30, 90),
    "SPY 2013, quick": (["SPY"], OCTOBER, 2, 5),
    "autumn 2024": (["BKNG", "EXE", "SW"], AUTUMN, 10, 30),
}
PER_SHARE, MINIMUM, CASH = "0.005", "1.00", "1000000"


def config(symbols: list[str], days: list[str], fast: int, slow: int) -> dict[str, Any]:
    return {
        "version": 1,
        "backtest": {"name": "sma", "start": days[0], "end": days[-1]},
        "data": {"symbols": symbols, "streams": ["bars_1m"]},
        "portfolio": {"initial_cash": float(CASH)},
        "execution": {"commission": {"per_share": float(PER_SHARE), "minimum": float(MINIMUM)}},
        "strategies": [
            {
                "id": "sma", "file": str(STRATEGY),
                "params": {"fast": fast, "slow": slow, "quantity": 100},
            }
        ],
    }  # fmt: skip


def run(tmp_path: Path, data: Path, wish: dict[str, Any]) -> BacktestResult:
    path = tmp_path / "run.yaml"
    path.write_text(json.dumps(wish), "utf-8")  # JSON is YAML
    engine = BacktestEngine.from_config(
        path, catalog=str(data / "parquet"), runs=tmp_path / "runs", report=False
    )
    result = engine.run()
    assert result.outcome == "completed", result.cause
    return result


def table(result: BacktestResult, name: str) -> list[dict[str, Any]]:
    assert result.folder is not None
    rows: list[dict[str, Any]] = pq.read_table(result.folder / f"{name}.parquet").to_pylist()
    return rows


@pytest.mark.parametrize("case", CASES)
def test_fills_and_equity_are_those_of_numpy(tmp_path: Path, real_data: Path, case: str) -> None:
    symbols, days, fast, slow = CASES[case]
    wanted = [
        fill
        for symbol in symbols
        for fill in fills_of(real_data, symbol, days, fast, slow, 100, PER_SHARE, MINIMUM)
    ]
    assert len(wanted) > 5, "the oracle must have something to say"
    result = run(tmp_path, real_data, config(symbols, days, fast, slow))
    came = [
        (f["symbol"], int(f["price_time_ns"].value), f["side"], f["quantity"], f["price"],
         Decimal(repr(f["commission"])).quantize(Decimal("0.01")))
        for f in table(result, "fills")
    ]  # fmt: skip
    assert sorted(came) == sorted(tuple(fill) for fill in wanted)
    closes = equity_at_closes(real_data, days, wanted, CASH, symbols)
    assert result.folder is not None
    recomputed = account_at_closes(result.folder, real_data, symbols, days, CASH)
    cent = Decimal("0.01")
    for day in days:
        assert recomputed[day].equity.quantize(cent) == closes[day].quantize(cent), day
    final = table(result, "equity")[-1]["equity"]
    assert abs(Decimal(repr(final)) - closes[days[-1]]) < Decimal("0.005")
