"""Large files of many symbols and dates into the catalog's layout."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from app.catalog.build import BuildReport, build_catalog
from app.errors import CatalogError, RequestError
from app.times import MINUTE_NS, parse_time_ns

START_NS = parse_time_ns("2024-03-08T14:30:00Z")
TS = pa.timestamp("ns", "UTC")


def put(folder: Path, name: str, columns: Any, row_group: int = 1000) -> Path:
    path = folder / "in" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(columns), path, row_group_size=row_group)
    return path


def bring(folder: Path, **options: Any) -> BuildReport:
    report = build_catalog(str(folder / "in"), str(folder / "out"), **options)
    assert report.rows_read == report.rows_written + report.rejected.total
    assert not list((folder / "out").rglob(".*"))
    return report


def trades(count: int, symbols: int, days: int, seed: int = 1) -> dict[str, Any]:
    """Trades in no order, many of equal time; ``size`` numbers them in source order."""
    random = np.random.default_rng(seed)
    times = START_NS + random.integers(0, 50, count) * MINUTE_NS
    times += random.integers(0, days, count) * 86_400 * 10**9
    names = np.array([f"S{n}" for n in range(symbols)])[random.integers(0, symbols, count)]
    return {
        "ts": pa.array(times, TS),
        "price": np.ones(count),
        "size": np.arange(count),
        "symbol": names.tolist(),
    }


@pytest.mark.parametrize("memory_rows", [500, 3_000, 1_000_000])
def test_rows_are_spread_and_sorted_stably(tmp_path: Path, memory_rows: int) -> None:
    columns = trades(20_000, symbols=3, days=4)
    put(tmp_path, "trades/all.parquet", columns)
    report = bring(tmp_path, memory_rows=memory_rows)
    assert (report.files_read, report.files_written, report.rows_written) == (1, 12, 20_000)
    source = pa.table(columns)
    source = source.set_column(0, "ts", source.column("ts").cast(pa.int64()))
    for path in sorted((tmp_path / "out").rglob("*.parquet")):
        symbol = path.parent.name.removeprefix("symbol=")
        day = path.stem.removeprefix("date=")
        ordered = duckdb.sql(f"""
            select size from source where symbol = '{symbol}'
            and make_timestamp_ns(ts)::date = date '{day}' order by ts, size""")
        assert ordered is not None
        found = pq.read_table(path, partitioning=None)
        assert found.column("size").to_pylist() == [row[0] for row in ordered.fetchall()]
        assert found.schema.names == ["ts", "price", "size"]
        assert found.schema.field("size").type == pa.int64()


def test_the_files_do_not_depend_on_memory_or_layout(tmp_path: Path) -> None:
    table = pa.table(trades(5_000, symbols=2, days=2))
    put(tmp_path / "one", "trades/all.parquet", table)
    for part in range(5):
        put(tmp_path / "five", f"trades/part{part}.parquet", table.slice(part * 1000, 1000))
    bring(tmp_path / "one", memory_rows=700)
    bring(tmp_path / "five")
    files = {p.relative_to(tmp_path / "one/out") for p in (tmp_path / "one/out").rglob("*.parquet")}
    assert len(files) == 4
    for name in files:
        ours, theirs = (tmp_path / n / "out" / name for n in ("one", "five"))
        assert ours.read_bytes() == theirs.read_bytes()


def test_the_symbol_may_be_in_the_path_and_optional_columns_are_kept(tmp_path: Path) -> None:
    put(tmp_path, "trades/symbol=BRK%2FB/many.parquet", {
        "ts": pa.array([START_NS // 10**3], pa.timestamp("us", "America/New_York")),
        "price": [1.0], "size": [0.5], "auction": ["open"], "updates_last": [True],
        "more": [1], "exchange": pa.array(["N"]).dictionary_encode(),
    })  # fmt: skip
    put(tmp_path, "quotes/symbol=X/q.parquet", {
        "ts": pa.array([START_NS], TS), "bid": [1.0], "bid_size": [1], "ask": pa.array(
            [None], pa.float64()), "ask_size": pa.array([None], pa.int64()), "sequence": [9],
        "symbol": ["of no account"],
    })  # fmt: skip
    bring(tmp_path)
    path = tmp_path / "out/trades/symbol=BRK%2FB/date=2024-03-08.parquet"
    found = pq.read_table(path, partitioning=None)
    assert found.schema.field("ts").type == TS
    assert found.drop_columns(["ts"]).to_pylist() == [
        {"price": 1.0, "size": 0.5, "auction": "open", "updates_last": True, "more": 1,
         "exchange": "N"}
    ]  # fmt: skip
    path = tmp_path / "out/quotes/symbol=X/date=2024-03-08.parquet"
    quote = pq.read_table(path, partitioning=None).drop_columns(["ts"]).to_pylist()
    assert quote == [{"bid": 1.0, "bid_size": 1, "ask": None, "ask_size": None, "sequence": 9}]


def test_the_trading_date_is_the_exchanges(tmp_path: Path) -> None:
    late = parse_time_ns("2024-03-09T00:30:00Z")
    put(tmp_path, "bars_1m/symbol=X/b.parquet", {
        "ts": pa.array([late], TS), "open": [1.0], "high": [1.0], "low": [1.0], "close": [1.0],
        "volume": [1],
    })  # fmt: skip
    bring(tmp_path)
    bring(tmp_path, zone="Asia/Hong_Kong")
    names = sorted(p.name for p in (tmp_path / "out/bars_1m/symbol=X").iterdir())
    assert names == ["date=2024-03-08.parquet", "date=2024-03-09.parquet"]


def test_rows_without_time_or_symbol_are_counted(tmp_path: Path) -> None:
    put(tmp_path, "trades.parquet", {
        "ts": pa.array([START_NS, None, START_NS], TS), "price": [1.0] * 3, "size": [1] * 3,
        "symbol": pa.array([None, "X", "X"]).dictionary_encode(),
    })  # fmt: skip
    report = bring(tmp_path)
    assert report.rejected.by_reason == {"no time": 1, "no symbol": 1}
    assert report.rejected.examples["no time"][0] == ("trades.parquet", 2, "ts")
    assert report.to_dict()["rejected"]["no symbol"]["count"] == 1


def test_side_datasets_are_copied_and_progress_is_told(tmp_path: Path) -> None:
    put(tmp_path, "trades/all.parquet", trades(10, 1, 1))
    daily = put(tmp_path, "daily/symbol=X/daily.parquet", {"date": [1]})
    seen: list[tuple[int, int, str]] = []
    report = bring(tmp_path, progress=lambda *step: seen.append(step))
    copied = tmp_path / "out/daily/symbol=X/daily.parquet"
    assert copied.read_bytes() == daily.read_bytes()
    assert report.files_copied == 1
    assert seen == [
        (0, 1, "reading trades/all.parquet"),
        (0, 1, "writing trades S0 2024-03-08"),
        (1, 1, "trades written"),
    ]


def test_a_file_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    path = put(tmp_path, "trades/all.parquet", trades(5_000, 1, 1))
    whole = path.read_bytes()
    for damaged in (whole[:-100], b"", whole[:4] + bytes(2_000) + whole[2_004:]):
        path.write_bytes(damaged)
        with pytest.raises(CatalogError, match=r"^trades/all.parquet: cannot be read as Parquet"):
            bring(tmp_path)
        assert not [p for p in (tmp_path / "out").rglob("*") if p.is_file()]


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"ts": pa.array([1], TS), "price": [1.0], "size": [1]}, "no column 'symbol' for trades"),
        ({"ts": pa.array([1], TS), "symbol": ["X"], "size": [1]}, "no column 'price'"),
        ({"ts": [1], "symbol": ["X"], "price": [1.0], "size": [1]}, "column 'ts' is int64; needed"),
        ({"ts": pa.array([2**60], pa.timestamp("ms", "UTC")), "symbol": ["X"], "price": [1.0],
          "size": [1]}, "cannot be held in nanoseconds"),
    ],
)  # fmt: skip
def test_wrong_columns_are_an_error(tmp_path: Path, columns: Any, message: str) -> None:
    put(tmp_path, "trades/all.parquet", columns)
    with pytest.raises(CatalogError, match=f"^trades/all.parquet: .*{message}"):
        bring(tmp_path)


def test_wrong_places_are_refused(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    with pytest.raises(CatalogError, match="no Parquet files in folders named bars_1m"):
        bring(tmp_path)
    put(tmp_path, "trades/all.parquet", trades(5, 1, 1))
    with pytest.raises(CatalogError, match="is the source itself"):
        build_catalog(str(tmp_path / "in"), str(tmp_path / "in"))
    with pytest.raises(RequestError, match="unknown time zone"):
        bring(tmp_path, zone="Nowhere")


MEASURE = """
import sys
import pyarrow as pa
from app.catalog.build import build_catalog
build_catalog(sys.argv[1], sys.argv[2], memory_rows=50_000)
print(pa.default_memory_pool().max_memory())
"""


def test_memory_does_not_grow_with_the_rows(tmp_path: Path) -> None:
    peaks = []
    for name, count in (("small", 250_000), ("large", 1_500_000)):
        put(tmp_path / name, "trades/all.parquet", trades(count, symbols=2, days=2), 65_536)
        places = [str(tmp_path / name / "in"), str(tmp_path / name / "out")]
        done = subprocess.run(
            [sys.executable, "-c", MEASURE, *places],
            capture_output=True, text=True, check=True, cwd=Path(__file__).parents[2],
        )  # fmt: skip
        peaks.append(int(done.stdout))
    assert peaks[1] < 1.2 * peaks[0]


def test_a_real_catalog_in_one_file_comes_back_as_it_was(real_data: Path, tmp_path: Path) -> None:
    source = real_data / "parquet"
    for dataset in ("trades", "quotes"):
        tables = [
            (p, pq.read_table(p, partitioning=None).replace_schema_metadata(None))
            for p in sorted((source / dataset).rglob("*.parquet"))
        ]
        named = [
            t.append_column("symbol", pa.array([p.parent.name[7:]] * t.num_rows)) for p, t in tables
        ]
        put(tmp_path, f"{dataset}/all.parquet", pa.concat_tables(named[::-1]), 10_000)
    bring(tmp_path, memory_rows=40_000)
    for dataset in ("trades", "quotes"):
        for path in (source / dataset).rglob("*.parquet"):
            made = tmp_path / "out" / path.relative_to(source)
            ours = pq.read_table(made, partitioning=None)
            assert ours.equals(pq.read_table(path, partitioning=None))
