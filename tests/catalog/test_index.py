"""The index: made once, kept, renewed for what changed; broken files hurt only their own."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from pathlib import Path

import msgspec
import numpy as np
import pyarrow as pa
import pytest

from app.catalog.store import Catalog
from app.errors import CatalogError
from app.model import Dictionary
from app.times import DAY_NS, MINUTE_NS
from tests.catalog.made import (
    OPEN_NS,
    WatchedFiles,
    bars,
    rows_of,
    stamps,
    trades,
    with_symbol,
    write,
    write_day,
)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Two symbols, three days each."""
    folder = tmp_path / "catalog"
    for symbol in ("AIG", "BAC"):
        for day in range(3):
            write_day(folder, "bars_1m", symbol, day, bars(day, rows=4))
    return folder


def _opened(root: Path, cache: Path | None) -> tuple[list[str], Catalog]:
    files, fs = WatchedFiles.make()
    catalog = Catalog.open(str(root), cache, fs)
    return sorted(str(Path(path).relative_to(root)) for path in files.opened), catalog


def test_the_second_opening_looks_into_no_file(root: Path, tmp_path: Path) -> None:
    opened, first = _opened(root, tmp_path / "cache")
    assert len(opened) == 6
    opened, second = _opened(root, tmp_path / "cache")
    assert opened == []
    assert second.summary() == first.summary()
    assert list(second.pieces("bars_1m", "AIG")) == list(first.pieces("bars_1m", "AIG"))
    assert len(rows_of(second, "bars_1m", "AIG")[0]) == 12


def test_without_a_cache_folder_nothing_is_kept(root: Path) -> None:
    assert len(_opened(root, None)[0]) == 6
    assert len(_opened(root, None)[0]) == 6


def test_only_new_and_changed_files_are_looked_into(root: Path, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    _opened(root, cache)
    write_day(root, "bars_1m", "AIG", 1, bars(1, rows=9))
    write_day(root, "trades", "AIG", 1, trades(1, rows=3))
    (root / "bars_1m/symbol=BAC/date=2024-01-04.parquet").unlink()
    opened, catalog = _opened(root, cache)
    assert opened == [
        "bars_1m/symbol=AIG/date=2024-01-03.parquet",
        "trades/symbol=AIG/date=2024-01-03.parquet",
    ]
    assert catalog.summary()["AIG"]["bars_1m"].rows == 17
    assert catalog.summary()["AIG"]["trades"].rows == 3
    assert catalog.summary()["BAC"]["bars_1m"].rows == 8
    assert _opened(root, cache)[0] == []


def test_a_file_of_the_same_size_and_another_time_is_looked_into(
    root: Path, tmp_path: Path
) -> None:
    _opened(root, tmp_path / "cache")
    path = root / "bars_1m/symbol=AIG/date=2024-01-02.parquet"
    os.utime(path, ns=(1, 10**18))
    assert _opened(root, tmp_path / "cache")[0] == ["bars_1m/symbol=AIG/date=2024-01-02.parquet"]


def test_a_removed_symbol_is_gone_after_a_refresh(root: Path, tmp_path: Path) -> None:
    catalog = Catalog.open(str(root), tmp_path / "cache")
    for path in (root / "bars_1m/symbol=BAC").iterdir():
        path.unlink()
    assert catalog.symbols == ["AIG", "BAC"]
    catalog.refresh()
    assert catalog.symbols == ["AIG"]


def _garbage(_: bytes) -> bytes:
    return b"\xff\x00garbage"


def _cut(kept: bytes) -> bytes:
    return kept[: len(kept) // 2]


def _other_version(kept: bytes) -> bytes:
    _, entries = msgspec.msgpack.decode(kept)
    return msgspec.msgpack.encode((0, entries))


def _other_shape(_: bytes) -> bytes:
    return msgspec.msgpack.encode((2, {"a": [1, 2]}))


@pytest.mark.parametrize("spoil", [_garbage, _cut, _other_version, _other_shape])
def test_a_cache_of_another_version_or_garbage_is_made_again(
    root: Path, tmp_path: Path, spoil: Callable[[bytes], bytes]
) -> None:
    cache = tmp_path / "cache"
    _opened(root, cache)
    (kept,) = cache.iterdir()
    kept.write_bytes(spoil(kept.read_bytes()))
    opened, catalog = _opened(root, cache)
    assert len(opened) == 6
    assert catalog.summary()["AIG"]["bars_1m"].rows == 12
    assert _opened(root, cache)[0] == []
    assert list(cache.iterdir()) == [kept]


def test_a_cache_that_cannot_be_written_or_read_is_said_and_done_without(
    root: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("in the way")
    with caplog.at_level(logging.WARNING):
        opened, catalog = _opened(root, tmp_path / "file" / "cache")
    assert len(opened) == 6
    assert catalog.symbols == ["AIG", "BAC"]
    assert "cannot be kept in" in caplog.text


def test_different_catalogs_have_different_caches(root: Path, tmp_path: Path) -> None:
    write_day(tmp_path / "other", "bars_1m", "IBM", 0, bars(rows=1))
    for folder, symbols in ((root, ["AIG", "BAC"]), (tmp_path / "other", ["IBM"])):
        assert Catalog.open(str(folder), tmp_path / "cache").symbols == symbols
    assert len(list((tmp_path / "cache").iterdir())) == 2


# -- broken files ----------------------------------------------------------------------------


def _spoil_bytes(content: bytes) -> Callable[[Path], None]:
    def spoil(path: Path) -> None:
        path.write_bytes(content)

    return spoil


def _truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-20])


def _table(**columns: object) -> Callable[[Path], None]:
    def spoil(path: Path) -> None:
        table = bars(rows=4)
        for name, column in columns.items():
            table = table.drop_columns([name])
            if column is not None:
                table = table.append_column(name, column)
        write(path.parent, path.name, table)

    return spoil


def _twice(path: Path) -> None:
    table = bars(rows=4)
    write(path.parent, path.name, table.append_column("close", table["close"]))


_FAULTS: dict[str, tuple[Callable[[Path], None], str]] = {
    "truncated": (_truncate, "cannot be read as Parquet"),
    "zero bytes": (_spoil_bytes(b""), "cannot be read as Parquet"),
    "not Parquet": (_spoil_bytes(b"a,b\n1,2\n" * 50), "cannot be read as Parquet"),
    "no close": (_table(close=None), "no column 'close'"),
    "no time": (_table(ts=None), "no column 'ts'"),
    "text prices": (_table(close=pa.array(["1", "2", "3", "4"])), "column 'close' is string"),
    "naive times": (
        _table(ts=pa.array(range(4), pa.timestamp("ns"))),
        "column 'ts' is timestamp[ns]; needed: timestamp with a zone",
    ),
    "number times": (_table(ts=pa.array(range(4))), "column 'ts' is int64"),
    "number texts": (_table(vwap=pa.array(["", "", "", ""])), "column 'vwap' is string"),
    "no times at all": (
        _table(ts=pa.nulls(4, pa.timestamp("ns", "UTC"))),
        "'ts' is all null",
    ),
    "a column twice": (_twice, "2 columns are named 'close'"),
}


@pytest.mark.parametrize("fault", list(_FAULTS))
def test_a_broken_file_is_named_and_hurts_only_its_own_symbol(
    root: Path, tmp_path: Path, fault: str
) -> None:
    spoil, says = _FAULTS[fault]
    spoil(root / "bars_1m/symbol=BAC/date=2024-01-03.parquet")
    catalog = Catalog.open(str(root), tmp_path / "cache")
    assert len(catalog.broken_files) == 1
    assert "bars_1m/symbol=BAC/date=2024-01-03.parquet" in catalog.broken_files[0]
    assert says in catalog.broken_files[0]
    assert catalog.symbols == ["AIG", "BAC"]
    catalog.check_files(["bars_1m"], ["AIG"])
    catalog.check_files(["trades"], ["BAC"])
    assert len(rows_of(catalog, "bars_1m", "AIG")[0]) == 12
    with pytest.raises(CatalogError, match="symbol=BAC/date=2024-01-03"):
        catalog.check_files(["bars_1m"], ["AIG", "BAC"])
    again = Catalog.open(str(root), tmp_path / "cache")
    assert again.broken_files == catalog.broken_files
    write_day(root, "bars_1m", "BAC", 1, bars(1, rows=4))
    again.refresh()
    assert again.broken_files == []
    again.check_files(["bars_1m"], ["BAC"])


def test_wrong_optional_columns_are_refused_too(tmp_path: Path) -> None:
    write_day(tmp_path, "trades", "A", 0, trades(rows=2, suspicious=pa.array([0, 1])))
    write_day(tmp_path, "trades", "B", 0, trades(rows=2, exchange=pa.array([1, 2])))
    write_day(tmp_path, "trades", "C", 0, trades(rows=2, sequence=pa.array([1.0, 2.0])))
    write_day(tmp_path, "trades", "D", 0, trades(rows=2, auction=pa.array([True, False])))
    broken = Catalog.open(str(tmp_path)).broken_files
    assert len(broken) == 4
    for name, sentence in zip(("suspicious", "exchange", "sequence", "auction"), broken,
                              strict=True):  # fmt: skip
        assert f"column {name!r} is" in sentence


def test_files_without_a_symbol_name_what_is_needed(tmp_path: Path) -> None:
    table = bars(rows=3)
    write(tmp_path, "bars_1m/a.parquet", table)
    write(tmp_path, "bars_1m/b.parquet", table.append_column("symbol", pa.array([1, 2, 3])))
    with_null = table.append_column("symbol", pa.array(["A", None, "A"]))
    write(tmp_path, "bars_1m/c.parquet", with_null)
    write(tmp_path, "bars_1m/d.parquet", table.append_column("symbol", pa.array(["A", "A", ""])))
    broken = Catalog.open(str(tmp_path)).broken_files
    assert "nor a column 'symbol'" in broken[0]
    assert "column 'symbol' is int64" in broken[1]
    assert "column 'symbol' has 1 nulls or empty names" in broken[2]
    assert "column 'symbol' has 1 nulls or empty names" in broken[3]


def test_an_error_of_the_line_is_not_kept(root: Path, tmp_path: Path) -> None:
    files, fs = WatchedFiles.make()
    path = str(root / "bars_1m/symbol=BAC/date=2024-01-03.parquet")
    files.broken[path] = OSError("connection reset")
    catalog = Catalog.open(str(root), tmp_path / "cache", fs)
    assert "connection reset" in catalog.broken_files[0]
    files.broken.clear()
    catalog.refresh()
    assert catalog.broken_files == []
    assert catalog.summary()["BAC"]["bars_1m"].rows == 12


def test_a_fault_of_the_content_is_kept(root: Path, tmp_path: Path) -> None:
    _truncate(root / "bars_1m/symbol=BAC/date=2024-01-03.parquet")
    _opened(root, tmp_path / "cache")
    opened, catalog = _opened(root, tmp_path / "cache")
    assert opened == []
    assert len(catalog.broken_files) == 1


# -- what is listed ----------------------------------------------------------------------------


def test_hidden_and_foreign_files_are_left_alone(root: Path) -> None:
    names = (
        ".date=2024-01-05.parquet.1a2b.part",
        ".hidden.parquet",
        "_metadata.parquet",
        "notes.txt",
        ".trash/date=2024-01-05.parquet",
        "_delta_log/0.parquet",
    )
    for name in names:
        path = root / "bars_1m/symbol=AIG" / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"nothing of ours")
    (root / "bars_1m/symbol=EMPTY").mkdir()
    (root / "other").mkdir()
    (root / "other/file.parquet").write_bytes(b"x")
    catalog = Catalog.open(str(root))
    assert catalog.broken_files == []
    assert catalog.symbols == ["AIG", "BAC"]


def test_a_file_without_rows_is_no_fault(root: Path) -> None:
    write_day(root, "bars_1m", "IBM", 0, bars(rows=0))
    catalog = Catalog.open(str(root))
    assert catalog.symbols == ["AIG", "BAC"]
    assert catalog.broken_files == []


# -- times of the pieces -----------------------------------------------------------------------


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
@pytest.mark.parametrize("statistics", [True, False])
def test_times_of_all_units_with_and_without_statistics(
    tmp_path: Path, unit: str, statistics: bool
) -> None:
    table = bars(rows=5, ts=stamps(OPEN_NS + np.arange(5) * MINUTE_NS, unit))
    write_day(tmp_path, "bars_1m", "AIG", 0, table, write_statistics=statistics)
    catalog = Catalog.open(str(tmp_path))
    (piece,) = catalog.pieces("bars_1m", "AIG")
    assert (piece.first_ns, piece.last_ns) == (OPEN_NS, OPEN_NS + 4 * MINUTE_NS)
    items, _ = catalog.read(piece, Dictionary())
    assert items["release_ns"].tolist() == [OPEN_NS + (i + 1) * MINUTE_NS for i in range(5)]


def test_a_nested_column_before_the_times_does_not_shift_them(tmp_path: Path) -> None:
    extra = pa.array([{"a": 1, "b": 2}] * 3)
    table = bars(rows=3)
    table = table.add_column(0, "extra", extra)
    write_day(tmp_path, "bars_1m", "AIG", 0, table)
    catalog = Catalog.open(str(tmp_path))
    (piece,) = catalog.pieces("bars_1m", "AIG")
    assert (piece.first_ns, piece.last_ns) == (OPEN_NS, OPEN_NS + 2 * MINUTE_NS)
    assert len(catalog.read(piece, Dictionary())[0]) == 3


def test_days_are_those_of_paths_or_of_the_rows(tmp_path: Path) -> None:
    number = OPEN_NS // DAY_NS
    for day in (0, 2):
        write_day(tmp_path, "bars_1m", "PATH", day, bars(day, rows=2))
    long = pa.concat_tables([bars(day, rows=2) for day in (0, 2)])
    write(tmp_path, "bars_1m/symbol=ONE/all.parquet", long)
    catalog = Catalog.open(str(tmp_path))
    assert [p.days for p in catalog.pieces("bars_1m", "PATH")] == [(number,), (number + 2,)]
    assert [p.days for p in catalog.pieces("bars_1m", "ONE")] == [(number, number + 2)]
    assert {e["bars_1m"].days for e in catalog.summary().values()} == {2}


def test_a_path_that_names_no_date_is_dated_by_its_rows(tmp_path: Path) -> None:
    write(tmp_path, "bars_1m/symbol=A/date=today.parquet", bars(1, rows=2))
    (piece,) = Catalog.open(str(tmp_path)).pieces("bars_1m", "A")
    assert piece.days == (OPEN_NS // DAY_NS + 1,)


@pytest.mark.parametrize("kind", [pa.string(), pa.large_string(), pa.dictionary(pa.int8(), "utf8")])
def test_symbols_in_a_column_of_any_text_type(tmp_path: Path, kind: pa.DataType) -> None:
    table = pa.concat_tables([with_symbol(bars(rows=3, seed=n), f"S{n}") for n in range(3)])
    column = table["symbol"].cast(kind)
    table = table.drop_columns(["symbol"]).append_column("symbol", column)
    write(tmp_path, "bars_1m/all.parquet", table, row_group_size=4)
    catalog = Catalog.open(str(tmp_path))
    assert catalog.broken_files == []
    assert {s: len(rows_of(catalog, "bars_1m", s)[0]) for s in catalog.symbols} == {
        "S0": 3,
        "S1": 3,
        "S2": 3,
    }


@pytest.mark.parametrize("nulls", ["first", "middle", "last"])
@pytest.mark.parametrize("many", [True, False])
def test_row_groups_without_any_time_are_read_with_their_neighbours(
    tmp_path: Path, nulls: str, many: bool
) -> None:
    ns: list[int | None] = [OPEN_NS + i * MINUTE_NS for i in range(6)]
    at = {"first": 0, "middle": 2, "last": 4}[nulls]
    ns[at : at + 2] = [None, None]
    table = bars(rows=6, ts=stamps(ns))
    if many:
        tables = [with_symbol(bars(rows=2), "AAA"), with_symbol(table, "AIG")]
        write(tmp_path, "bars_1m/all.parquet", pa.concat_tables(tables), row_group_size=2)
    else:
        write_day(tmp_path, "bars_1m", "AIG", 0, table, row_group_size=2)
    catalog = Catalog.open(str(tmp_path))
    timed = [t for t in ns if t is not None]
    pieces = catalog.pieces("bars_1m", "AIG")
    assert [p.rows for p in pieces] == [2, 2, 2]
    assert min(p.first_ns for p in pieces) == min(timed)
    assert max(p.last_ns for p in pieces) == max(timed)
    assert all(p.first_ns <= p.last_ns for p in pieces)
    assert len(rows_of(catalog, "bars_1m", "AIG")[0]) == 6


def test_files_of_a_stream_stand_in_natural_order(tmp_path: Path) -> None:
    for part in (10, 9, 2, 1, 100):
        ts = stamps(OPEN_NS + part * MINUTE_NS + np.arange(1))
        write(tmp_path, f"bars_1m/symbol=A/part-{part}.parquet", bars(rows=1, ts=ts))
    pieces = Catalog.open(str(tmp_path)).pieces("bars_1m", "A")
    assert [p.path.rsplit("-")[-1] for p in pieces] == [f"{n}.parquet" for n in (1, 2, 9, 10, 100)]
    assert [p.first_ns for p in pieces] == sorted(p.first_ns for p in pieces)
