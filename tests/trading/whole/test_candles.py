"""A run on bars that the caller supplies is the run on the same bars in a catalog."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from app.errors import CatalogError, NotFoundError, RequestError, TapedeckError
from app.managers.system_manager.backtest import BacktestEngine, BacktestResult
from settings import load_settings
from tests.core.harness import DAY2, DAY3, MINUTE, open_ns
from tests.trading.whole.market import write_market

BUSY = Path(__file__).parent / "strategies" / "busy.py"


@pytest.fixture(scope="module")
def catalog(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_market(tmp_path_factory.mktemp("market"), seed=5)


def bars(catalog: Path, symbol: str) -> pa.Table:
    files = sorted((catalog / "bars_1m" / f"symbol={symbol}").glob("*.parquet"))
    return pa.concat_tables([pq.read_table(f, partitioning=None) for f in files])


def engine(folder: Path, symbols: list[str], catalog: Path | None) -> BacktestEngine:
    wish = {
        "backtest": {"name": "fed", "start": str(DAY2), "end": str(DAY3)},
        "data": {"symbols": symbols},
        "execution": {"commission": {"per_share": 0.005}},
        "strategies": [
            {"id": "busy", "file": str(BUSY), "name": "Brackets", "warmup": {"bars": 20}}
        ],
    }
    path = folder / "run.yaml"
    path.write_text(json.dumps(wish), "utf-8")
    return BacktestEngine.from_config(
        path, catalog=None if catalog is None else str(catalog), runs=folder / "runs",
        report=False, settings=load_settings(None, tapedeck_cache_dir=folder / "cache"),
    )  # fmt: skip


def run(engine: BacktestEngine) -> BacktestResult:
    result = engine.run()
    assert result.outcome == "completed", result.cause
    return result


def columns(table: pa.Table) -> dict[str, Any]:
    """Plain numpy arrays, times in nanoseconds."""
    found = {name: table.column(name).to_numpy() for name in table.column_names}
    return found | {"ts": found["ts"].astype("datetime64[ns]").astype(np.int64)}


FORMS: list[Callable[[pa.Table], Any]] = [
    lambda table: table, pl.from_arrow, columns,
    lambda table: table.to_pandas().set_index("ts"),
]  # fmt: skip


@pytest.mark.parametrize("form", FORMS, ids=["arrow", "polars", "numpy", "pandas"])
def test_it_is_the_run_on_a_catalog(
    tmp_path: Path, catalog: Path, form: Callable[[pa.Table], Any]
) -> None:
    """Look-back and warm-up too; without any catalog."""
    fed = engine(tmp_path, ["AAA", "BBB"], None)
    for symbol in ("BBB", "AAA"):
        assert fed.feed_candles(symbol, form(bars(catalog, symbol))) is fed
    assert "2 symbols, 2 streams" in fed.check()
    result, other = run(fed), run(engine(tmp_path, ["AAA", "BBB"], catalog))
    assert (result.digest, result.events_digest) == (other.digest, other.events_digest)
    assert result.summary["events"] > 200
    manifest = json.loads((result.folder or tmp_path).joinpath("manifest.json").read_text())
    assert [file["path"] for file in manifest["data"]] == [
        f"bars_1m/symbol={symbol}/candles.parquet" for symbol in ("AAA", "BBB")
    ]


def test_they_stand_in_place_of_the_catalogs(tmp_path: Path, catalog: Path) -> None:
    """All that it has of the symbol, and nothing else: CCC's ticks would be filled on."""
    table = bars(catalog, "AAA")
    made = write_market(tmp_path / "made", seed=5)
    for dataset in ("trades", "quotes"):
        for file in (made / dataset / "symbol=CCC").glob("*.parquet"):
            file.unlink()
    target = made / "bars_1m" / "symbol=CCC"
    target.mkdir()
    pq.write_table(table, target / "all.parquet")
    fed = engine(tmp_path, ["*"], catalog).feed_candles("CCC", bars(catalog, "BBB"))
    result = run(fed.feed_candles("CCC", table))
    other = run(engine(tmp_path, ["*"], made))
    assert (result.digest, result.events_digest) == (other.digest, other.events_digest)


def test_a_new_folder_goes_with_the_engine(tmp_path: Path, catalog: Path) -> None:
    fed = engine(tmp_path, ["AAA"], None).feed_candles("AAA", bars(catalog, "AAA"))
    folder = fed._candles._folder
    assert folder is not None
    assert folder.is_dir()
    del fed
    assert not folder.exists()


ROW: dict[str, list[Any]] = {
    "open": [1.0],
    "high": [1.0],
    "low": [1.0],
    "close": [1.0],
    "volume": [5],
}
AT = open_ns(DAY2)


@pytest.mark.parametrize(
    ("candles", "error", "text"),
    [
        (object(), RequestError, "candles of AAA: object is no table"),
        ({"ts": []} | ROW, RequestError, "no table"),
        ({name: [] for name in ("ts", *ROW)}, RequestError, "the table is empty"),
        (ROW, CatalogError, "candles of AAA: no column 'ts'"),
        ({"ts": [AT], "close": [1.0]}, CatalogError, "no column 'open'"),
        ({"ts": [AT]} | ROW | {"volume": ["5"]}, CatalogError, "'volume' is string"),
        ({"ts": np.array([AT], "datetime64[ns]")} | ROW, CatalogError, "'ts' is timestamp.*zone"),
        ({"ts": [AT + 1]} | ROW, RequestError, "row 1, ts 2013-10-07T13:30:00.000000001Z, is no b"),
        ({"ts": [None]} | ROW, (RequestError, CatalogError), "'?ts'? "),
        ({"ts": [AT]} | ROW | {"low": [-1.0]}, RequestError, "row 1, .* not negative"),
        ({"ts": [AT]} | ROW | {"low": [None]}, (RequestError, CatalogError), "low|row 1"),
    ],
)
def test_what_is_no_bar_is_refused(
    tmp_path: Path, candles: Any, error: type[TapedeckError], text: str
) -> None:
    with pytest.raises(error, match=text):
        engine(tmp_path, ["AAA"], None).feed_candles("AAA", candles)


def test_order_and_names(tmp_path: Path) -> None:
    one = engine(tmp_path, ["AAA"], None)
    with pytest.raises(RequestError, match="does not name 'BBB'; it has \\['AAA'\\]"):
        one.feed_candles("BBB", {"ts": [AT], **ROW})
    four = {name: values * 4 for name, values in ROW.items()}
    with pytest.raises(RequestError, match="row 2, ts 2013-10-07T13:30:00Z, is before"):
        one.feed_candles("AAA", {"ts": [AT + MINUTE, AT, AT, AT + 2 * MINUTE], **four})
    with pytest.raises(RequestError, match=r"row 2, .* has the ts of .*\(and 1 more rows"):
        one.feed_candles("AAA", {"ts": [AT, AT, AT + MINUTE, AT + MINUTE], **four})
    other = engine(tmp_path, ["AAA", "BBB"], None)
    other.feed_candles("AAA", {"ts": [AT], **ROW})
    with pytest.raises(NotFoundError, match="no symbol 'BBB'"):
        other.check()
    late = AT - int(timedelta(days=30).total_seconds()) * 10**9
    with pytest.raises(RequestError, match="nothing from 2013-10-07 to 2013-10-08 of: AAA"):
        one.feed_candles("AAA", {"ts": [late], **ROW}).check()
