"""The examples that ship: their files load, and their runs trade as they say."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from app.catalog.synthetic import write_synthetic
from app.managers.system_manager.backtest import BacktestEngine, BacktestResult
from app.trading.bus import HandlerError
from app.trading.config import read_config_file
from app.trading.services.strategy import check_strategies
from tests.trading.harness import Stage, days_of
from tests.trading.strategy.support import make, section

EXAMPLES = Path(__file__).parents[3] / "examples"
RUNS = sorted(path.stem for path in EXAMPLES.glob("*.yaml"))


def run(name: str, catalog: Path, folder: Path) -> BacktestResult:
    engine = BacktestEngine.from_config(
        EXAMPLES / f"{name}.yaml", catalog=str(catalog), runs=folder, report=False
    )
    result = engine.run()
    assert result.outcome == "completed", result.cause
    return result


def rows_of(result: BacktestResult, name: str) -> list[dict[str, Any]]:
    assert result.folder is not None
    found: list[dict[str, Any]] = pq.read_table(result.folder / f"{name}.parquet").to_pylist()
    return found


def test_every_strategy_has_a_run() -> None:
    assert {path.stem for path in EXAMPLES.glob("*.py")} <= set(RUNS)
    assert len(RUNS) >= 5


@pytest.mark.parametrize("name", RUNS)
def test_its_files_load(name: str) -> None:
    found = read_config_file(EXAMPLES / f"{name}.yaml")
    check_strategies(found.config.strategies, found.folder)
    assert found.config.strategies


def test_the_first_run_needs_only_the_invented_market(tmp_path: Path) -> None:
    write_synthetic(tmp_path / "catalog")
    fills = rows_of(run("first_run", tmp_path / "catalog", tmp_path / "runs"), "fills")
    assert {fill["symbol"] for fill in fills} == {"ALFA", "BRVO"}


@pytest.mark.parametrize("name", ["sma_cross", "mean_reversion", "opening_range", "pair_trade"])
def test_it_trades_on_real_data(name: str, real_data: Path, tmp_path: Path) -> None:
    result = run(name, real_data / "parquet", tmp_path)
    fills = rows_of(result, "fills")
    assert len(fills) >= 10
    held: dict[str, float] = {}
    for fill in fills:
        signed = fill["quantity"] if fill["side"] == "buy" else -fill["quantity"]
        held[fill["symbol"]] = held.get(fill["symbol"], 0.0) + signed
        if name != "pair_trade":
            assert held[fill["symbol"]] >= 0
    if name != "sma_cross":  # closes all before each day's end
        assert set(held.values()) == {0.0}


def test_the_opening_range_trades_once_a_day(real_data: Path, tmp_path: Path) -> None:
    """Stop entries above the range only after it, and one exit each."""
    fills = rows_of(run("opening_range", real_data / "parquet", tmp_path), "fills")
    entries = [f for f in fills if f["side"] == "buy"]
    days = [(f["symbol"], f["ts_event_ns"].date()) for f in entries]
    opens = {day.date: day.open_ns for day in days_of("2013-10-04", "2013-10-08")}
    assert len(days) == len(set(days)) == len(fills) / 2
    for fill in entries:
        after_open = fill["ts_event_ns"].timestamp() - opens[fill["ts_event_ns"].date()] / 1e9
        assert after_open > 15 * 60
        assert fill["order_type"] == "stop"


@pytest.mark.parametrize(
    ("file", "keys", "said"),
    [
        (
            "sma_cross.py", {"params": {"fast": 30, "slow": 30}},
            "sma_cross.py, line 17, in on_start: strategy 'one' failed at .*: ValueError: fast is",
        ),
        ("pair_trade.py", {}, "pair_trade.py, line .* a pair is two symbols; given: AAA"),
    ],
)  # fmt: skip
def test_what_cannot_work_is_said_at_the_start(
    tmp_path: Path, file: str, keys: dict[str, Any], said: str
) -> None:
    stage = Stage()
    text = (EXAMPLES / file).read_text("utf-8")
    make(stage, tmp_path, {file.removesuffix(".py"): text}, section("one", file=file, **keys))
    with pytest.raises(HandlerError, match=said):
        stage.start()
