"""Foreign Parquet files to catalog files."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from app.catalog.importers import ImportReport, import_parquet
from app.errors import CatalogError, RequestError
from app.times import MINUTE_NS, parse_time_ns

START_NS = parse_time_ns("2024-03-08T14:30:00Z")
OHLC = {"open": [1.0], "high": [2.0], "low": [0.5], "close": [1.5]}


def put(folder: Path, name: str, columns: dict[str, Any]) -> Path:
    path = folder / "in" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(columns), path)
    return path


def bring(folder: Path, source: Path, **options: Any) -> ImportReport:
    report = import_parquet(str(source), str(folder / "out"), **options)
    assert report.rows_read == report.rows_written + report.rejected.total
    return report


def result(folder: Path, symbol: str, dataset: str = "bars_1m") -> dict[str, list[Any]]:
    path = folder / "out" / dataset / f"symbol={symbol}" / "date=2024-03-08.parquet"
    found = pq.read_table(path, partitioning=None)
    stamps = found.column("ts").cast(pa.int64())
    done: dict[str, list[Any]] = found.set_column(0, "ts", stamps).to_pydict()
    return done


@pytest.mark.parametrize(
    ("ts", "options"),
    [
        (pa.array([START_NS], pa.timestamp("ns", "Asia/Tokyo")), {}),
        (pa.array([START_NS // 10**9], pa.timestamp("s", "UTC")), {}),
        (pa.array([START_NS // 10**3 - 5 * 3600 * 10**6], pa.timestamp("us")), {}),
        (pa.array([START_NS // 10**6]), {"time_format": "ms"}),
        (pa.array([START_NS + MINUTE_NS]), {"stamped": "end"}),
        (pa.array(["2024-03-08T09:30:00-05:00"]), {"time_format": "rfc3339"}),
        (pa.array(["2024-03-08 09:30"]).dictionary_encode(), {"time_format": "iso"}),
    ],
)
def test_times_of_any_type(tmp_path: Path, ts: pa.Array, options: dict[str, Any]) -> None:
    source = put(tmp_path, "X.parquet", {"ts": ts, **OHLC, "volume": [100]})
    bring(tmp_path, source, **options)
    assert result(tmp_path, "X")["ts"] == [START_NS]


def test_numbers_of_any_type_and_a_symbol_column(tmp_path: Path) -> None:
    columns = {
        "when": pa.array([START_NS, START_NS], pa.timestamp("ns", "UTC")),
        "name": pa.array(["A", "B/C"]).dictionary_encode(),
        "open": pa.array([Decimal("1.25"), Decimal("1.5")]),
        "high": pa.array([2, 2], pa.int32()),
        "low": pa.array([1.0, 1.0], pa.float32()),
        "close": ["1.5", "1.5"],
        "volume": pa.array([10, 20], pa.uint32()),
        "vwap": [float("nan"), 1.4],
        "whole": [1, 2],
    }
    source = put(tmp_path, "many.parquet", columns)
    bring(tmp_path, source, columns={"ts": "when", "symbol": "name"})
    found = result(tmp_path, "A")
    assert found["open"] == [1.25]
    assert found["volume"] == [10]
    assert found["vwap"] == [None]  # a NaN stands for null there
    assert result(tmp_path, "B%2FC")["vwap"] == [1.4]
    bring(tmp_path, source, columns={"ts": "when", "symbol": "name", "vwap": "whole"})
    assert result(tmp_path, "B%2FC")["vwap"] == [2.0]


def test_columns_without_any_value_are_null(tmp_path: Path) -> None:
    columns = {
        "ts": pa.array([START_NS, START_NS], pa.timestamp("ns", "UTC")),
        "price": [1.0, 2.0],
        "size": pa.nulls(2),
        "suspicious": pa.array([1, 0]),
        "conditions": ["x" * 200, "y"],
    }
    source = put(tmp_path, "X.parquet", columns)
    report = bring(tmp_path, source, dataset="trades")
    assert report.rejected.by_reason == {"null": 2}
    whole = {**columns, "size": [1, 2]}
    bring(tmp_path, put(tmp_path, "X.parquet", whole), dataset="trades")
    assert result(tmp_path, "X", "trades")["suspicious"] == [True, False]


def test_bad_rows_are_counted_by_row_number(tmp_path: Path) -> None:
    count = 70_000
    prices = [1.0] * count
    prices[66_000] = float("nan")
    columns = {
        "ts": pa.array(range(START_NS, START_NS + count), pa.timestamp("ns", "UTC")),
        "price": prices,
        "size": pa.array([None, *[1] * (count - 1)], pa.int64()),
        "updates_last": pa.array([True] * count),
    }
    report = bring(tmp_path, put(tmp_path, "X.parquet", columns), dataset="trades")
    assert report.rejected.by_reason == {"NaN": 1, "null": 1}
    assert report.rejected.examples["NaN"][0] == ("X.parquet", 66_001, "price = nan")
    assert report.rejected.examples["null"][0] == ("X.parquet", 1, "size")
    assert len(result(tmp_path, "X", "trades")["ts"]) == count - 2


def test_a_file_that_is_not_parquet_or_cut_off_is_named(tmp_path: Path) -> None:
    source = put(tmp_path, "A.parquet", {"ts": [START_NS], **OHLC, "volume": [100]})
    whole = source.read_bytes()
    (tmp_path / "in/B.parquet").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(CatalogError, match=r"^B.parquet: cannot be read as Parquet"):
        bring(tmp_path, tmp_path / "in")
    damaged = bytearray(whole)
    damaged[4:60] = bytes(56)
    (tmp_path / "in/B.parquet").write_bytes(damaged)
    with pytest.raises(CatalogError, match=r"^B.parquet: cannot be read as Parquet"):
        bring(tmp_path, tmp_path / "in")
    assert not (tmp_path / "out").exists()


def test_a_folder_without_files_and_wrong_options_are_errors(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    with pytest.raises(CatalogError, match="no Parquet files"):
        bring(tmp_path, tmp_path / "in")
    with pytest.raises(RequestError, match="time format"):
        bring(tmp_path, tmp_path / "in", time_format="x")


def test_a_real_catalog_comes_through_unchanged(real_data: Path, tmp_path: Path) -> None:
    for dataset, symbol in (("bars_1m", "9988.HK"), ("trades", "AIG"), ("quotes", "IBM")):
        folder = real_data / "parquet" / dataset / f"symbol={symbol}"
        bring(
            tmp_path, folder, dataset=dataset, symbol=symbol, memory_rows=20_000,
            zone="Asia/Hong_Kong" if symbol.endswith("HK") else "America/New_York",
        )  # fmt: skip
        for path in folder.iterdir():
            made = tmp_path / "out" / dataset / folder.name / path.name
            ours = pq.read_table(made, partitioning=None)
            assert ours.equals(pq.read_table(path, partitioning=None))
