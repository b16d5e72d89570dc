"""Reading a catalog: any layout gives the same items; what is broken or changed is named."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from app.catalog.layout import encode_symbol
from app.catalog.reading import RecentValues
from app.catalog.store import Catalog, CatalogEntry, daily_closes, open_filesystem
from app.errors import CatalogChangedError, CatalogError, NotFoundError
from app.model import Dictionary
from app.times import DAY_NS, MINUTE_NS
from tests.catalog.made import (
    DAYS,
    OPEN_NS,
    WatchedFiles,
    bars,
    quotes,
    rows_of,
    stamps,
    trades,
    with_symbol,
    write,
    write_day,
)

MAKERS = {"bars_1m": bars, "trades": trades, "quotes": quotes}
SYMBOLS = ("AIG", "BAC", "IBM")


def _stream(dataset: str, symbol: str) -> list[pa.Table]:
    seed = SYMBOLS.index(symbol)
    return [MAKERS[dataset](day, 60, seed) for day in range(len(DAYS))]


def _lay_out(root: Path, layout: str, dataset: str) -> None:
    """The same three symbols and days as files of one kind or another."""
    if layout == "file a day":
        for symbol in SYMBOLS:
            for day, table in enumerate(_stream(dataset, symbol)):
                write_day(root, dataset, symbol, day, table)
        return
    whole = {s: pa.concat_tables(_stream(dataset, s)) for s in SYMBOLS}
    if layout == "file a symbol":
        for symbol, table in whole.items():
            path = f"{dataset}/symbol={symbol}/all.parquet"
            write(root, path, table, row_group_size=70)
        return
    if layout == "file a month":
        for symbol, table in whole.items():  # ten files: part-10 comes after part-9
            for part in range(10):
                name = f"{dataset}/symbol={symbol}/part-{part + 1}.parquet"
                write(root, name, table.slice(part * 18, 18))
        return
    joined = pa.concat_tables([with_symbol(t, s) for s, t in whole.items()])
    groups = {"sorted file": 180, "straddling groups": 77, "one group": 10_000, "tiny groups": 7}
    write(root, f"{dataset}/everything.parquet", joined, row_group_size=groups[layout])


@pytest.mark.parametrize("dataset", list(MAKERS))
@pytest.mark.parametrize(
    "layout",
    ["file a symbol", "file a month", "sorted file", "straddling groups", "one group",
     "tiny groups"],
)  # fmt: skip
def test_every_layout_gives_the_same_items(tmp_path: Path, layout: str, dataset: str) -> None:
    _lay_out(tmp_path / "a", "file a day", dataset)
    _lay_out(tmp_path / "b", layout, dataset)
    reference = Catalog.open(str(tmp_path / "a"))
    other = Catalog.open(str(tmp_path / "b"))
    assert other.symbols == reference.symbols == list(SYMBOLS)
    assert other.summary() == reference.summary()
    assert other.broken_files == []
    for symbol in SYMBOLS:
        items, named = rows_of(other, dataset, symbol)
        assert len(items) == 180
        assert named == rows_of(reference, dataset, symbol)[1]
        assert sum(p.rows for p in other.pieces(dataset, symbol)) == 180


def test_items_hold_what_the_table_held(tmp_path: Path) -> None:
    table = bars(rows=3, volume=[1.5, 2.0, 3.0], vwap=[50.0, None, 51.0])
    write_day(tmp_path, "bars_1m", "AIG", 0, table)
    catalog = Catalog.open(str(tmp_path))
    items, named = rows_of(catalog, "bars_1m", "AIG")
    assert items["release_ns"].tolist() == [OPEN_NS + (i + 1) * MINUTE_NS for i in range(3)]
    assert items["v"][:, 3].tolist() == table["close"].to_pylist()
    assert [row["n"][4] for row in named] == [1.5, 2.0, 3.0]
    assert [row["n"][5] for row in named] == [50.0, None, 51.0]
    assert items["v"][:, 6].tolist() == [1.0] * 3
    assert catalog.summary()["AIG"] == {
        "bars_1m": CatalogEntry(OPEN_NS, OPEN_NS + 2 * MINUTE_NS, 1, 3)
    }


def test_interleaved_symbols_are_refused_with_advice(tmp_path: Path) -> None:
    mixed = pa.concat_tables([with_symbol(bars(rows=5, seed=i % 2), "AB"[i % 2]) for i in range(4)])
    write(tmp_path, "bars_1m/mixed.parquet", mixed)
    catalog = Catalog.open(str(tmp_path))
    assert catalog.symbols == []
    assert "tapedeck catalog build" in catalog.broken_files[0]
    assert "mixed.parquet" in catalog.broken_files[0]
    with pytest.raises(CatalogError, match="tapedeck catalog build"):
        catalog.check_files(["bars_1m"], ["A"])
    with pytest.raises(NotFoundError, match="tapedeck catalog build"):
        catalog.check_symbols(["A"])


def test_symbols_of_any_letters(tmp_path: Path) -> None:
    names = ["BRK/B", "A B", "日経", "ES=F", "^GSPC", "..", "0700.HK", "50%", "a", "A"]
    for seed, name in enumerate(names):
        write_day(tmp_path, "bars_1m", name, 0, bars(rows=2, seed=seed))
    write(tmp_path, "trades/all.parquet", with_symbol(trades(rows=3), "Ü/ñ ß"))
    catalog = Catalog.open(str(tmp_path))
    assert catalog.symbols == sorted([*names, "Ü/ñ ß"])
    for seed, name in enumerate(names):
        items, _ = rows_of(catalog, "bars_1m", name)
        assert items["v"][:, 3].tolist() == bars(rows=2, seed=seed)["close"].to_pylist()
    assert len(rows_of(catalog, "trades", "Ü/ñ ß")[0]) == 3
    assert (tmp_path / "bars_1m" / f"symbol={encode_symbol('BRK/B')}").name == "symbol=BRK%2FB"


def test_whole_and_fractional_sizes_are_told_apart(tmp_path: Path) -> None:
    write_day(tmp_path, "trades", "INT", 0, trades(rows=3))
    write_day(tmp_path, "trades", "FRAC", 0, trades(rows=3, size=[0.5, 1.0, 2.25]))
    write_day(tmp_path, "quotes", "HALF", 0, quotes(rows=2, ask_size=[1.0, 2.0]))
    catalog = Catalog.open(str(tmp_path))
    assert [p.integral for p in catalog.pieces("trades", "INT")] == [True]
    assert [p.integral for p in catalog.pieces("trades", "FRAC")] == [False]
    assert [p.integral for p in catalog.pieces("quotes", "HALF")] == [False]
    assert [r["n"][1] for r in rows_of(catalog, "trades", "FRAC")[1]] == [0.5, 1.0, 2.25]


def test_sequences_are_read_where_there_are_some(tmp_path: Path) -> None:
    table = trades(rows=3, sequence=pa.array([30, None, 10], pa.int64()))
    write_day(tmp_path, "trades", "AIG", 0, table)
    write_day(tmp_path, "trades", "BAC", 0, trades(rows=3))
    catalog = Catalog.open(str(tmp_path))
    (piece,) = catalog.pieces("trades", "AIG")
    assert piece.sequenced
    sequence = catalog.read(piece, Dictionary())[1]
    assert sequence is not None
    assert sequence.tolist() == [30, -1, 10]
    assert catalog.read(catalog.pieces("trades", "BAC")[0], Dictionary())[1] is None


def test_unknown_symbols_name_the_nearest(tmp_path: Path) -> None:
    for name in ("AIG", "AAPL", "BAC"):
        write_day(tmp_path, "bars_1m", name, 0, bars(rows=1))
    catalog = Catalog.open(str(tmp_path))
    catalog.check_symbols(["AIG", "BAC"])
    with pytest.raises(NotFoundError, match=r"'aig' \(nearest: AIG\).*it has 3 symbols"):
        catalog.check_symbols(["aig", "BAC"])


def test_a_symbol_whose_only_file_is_broken_says_so(tmp_path: Path) -> None:
    write_day(tmp_path, "bars_1m", "AIG", 0, bars(rows=1))
    bad = write_day(tmp_path, "bars_1m", "BAD", 0, bars(rows=1))
    bad.write_bytes(b"")
    with pytest.raises(CatalogError, match=r"symbol=BAD/date=2024-01-02\.parquet"):
        Catalog.open(str(tmp_path)).check_symbols(["BAD"])


# -- what changes while it is used ---------------------------------------------------------


def test_a_file_that_changes_after_indexing_is_told(tmp_path: Path) -> None:
    write_day(tmp_path, "bars_1m", "AIG", 0, bars(rows=5))
    catalog = Catalog.open(str(tmp_path))
    (piece,) = catalog.pieces("bars_1m", "AIG")
    write_day(tmp_path, "bars_1m", "AIG", 0, bars(rows=6))
    with pytest.raises(CatalogChangedError, match=r"date=2024-01-02\.parquet.*was changed"):
        catalog.read(piece, Dictionary())
    catalog.refresh()
    assert [p.rows for p in catalog.pieces("bars_1m", "AIG")] == [6]
    assert len(rows_of(catalog, "bars_1m", "AIG")[0]) == 6


@pytest.mark.parametrize("content", [b"", b"PAR1", b"no Parquet at all, and long enough to look"])
def test_a_file_that_is_overwritten_by_something_else_is_told(
    tmp_path: Path, content: bytes
) -> None:
    path = write_day(tmp_path, "bars_1m", "AIG", 0, bars(rows=5))
    catalog = Catalog.open(str(tmp_path))
    (piece,) = catalog.pieces("bars_1m", "AIG")
    path.write_bytes(content)
    with pytest.raises(CatalogChangedError, match="was changed"):
        catalog.read(piece, Dictionary())


def test_a_file_that_vanishes_after_indexing_is_told(tmp_path: Path) -> None:
    path = write_day(tmp_path, "bars_1m", "AIG", 0, bars(rows=5))
    catalog = Catalog.open(str(tmp_path))
    (piece,) = catalog.pieces("bars_1m", "AIG")
    path.unlink()
    with pytest.raises(CatalogChangedError, match="was removed"):
        catalog.read(piece, Dictionary())


def test_a_shorter_file_in_place_of_one_with_many_groups_is_told(tmp_path: Path) -> None:
    path = "bars_1m/symbol=AIG/all.parquet"
    write(tmp_path, path, bars(rows=60), row_group_size=10)
    catalog = Catalog.open(str(tmp_path))
    last = catalog.pieces("bars_1m", "AIG")[-1]
    catalog.read(catalog.pieces("bars_1m", "AIG")[0], Dictionary())  # its footer is kept
    write(tmp_path, path, bars(rows=10))
    with pytest.raises(CatalogChangedError, match="was changed"):
        catalog.read(last, Dictionary())


def test_a_shared_row_group_of_an_older_file_is_not_served(tmp_path: Path) -> None:
    def put(close: float) -> None:
        tables = [with_symbol(bars(rows=5, close=[close] * 5), name) for name in "AB"]
        write(tmp_path, "bars_1m/both.parquet", pa.concat_tables(tables))

    put(50.0)
    catalog = Catalog.open(str(tmp_path))
    assert rows_of(catalog, "bars_1m", "A")[0]["v"][0, 3] == 50.0
    put(51.125)
    catalog.refresh()
    assert rows_of(catalog, "bars_1m", "B")[0]["v"][0, 3] == 51.125


def test_a_file_system_that_fails_while_reading_names_the_file(tmp_path: Path) -> None:
    path = write_day(tmp_path, "bars_1m", "AIG", 0, bars(rows=5))
    files, fs = WatchedFiles.make()
    catalog = Catalog.open(str(tmp_path), None, fs)
    files.broken[str(path)] = OSError("the line is cut")
    with pytest.raises(CatalogError, match=r"date=2024-01-02\.parquet.*the line is cut"):
        catalog.read(catalog.pieces("bars_1m", "AIG")[0], Dictionary())


def test_a_file_system_that_is_lost_is_told(tmp_path: Path) -> None:
    write_day(tmp_path, "bars_1m", "AIG", 0, bars(rows=5))
    files, fs = WatchedFiles.make()
    catalog = Catalog.open(str(tmp_path), None, fs)
    files.lost = OSError("host is down")
    with pytest.raises(CatalogError, match=r"2024-01-02\.parquet: cannot be looked at.*is down"):
        catalog.read(catalog.pieces("bars_1m", "AIG")[0], Dictionary())
    with pytest.raises(CatalogError, match=r"cannot be listed.*host is down"):
        catalog.refresh()
    assert catalog.symbols == ["AIG"]


def test_times_that_no_nanosecond_can_hold_name_the_file(tmp_path: Path) -> None:
    far = pa.array([OPEN_NS // 10**9, 2**50], pa.int64()).cast(pa.timestamp("s", "UTC"))
    write_day(tmp_path, "bars_1m", "AIG", 0, bars(rows=2, ts=far))
    write_day(tmp_path, "bars_1m", "BAC", 0, bars(rows=2, ts=far), write_statistics=False)
    catalog = Catalog.open(str(tmp_path))
    assert len(catalog.broken_files) == 2
    assert "times outside the years" in catalog.broken_files[0]
    assert "symbol=BAC" in catalog.broken_files[1]


def test_a_number_that_cannot_be_names_file_and_row_group(tmp_path: Path) -> None:
    sequence = pa.array([1, 2**64 - 1], pa.uint64())
    write_day(tmp_path, "trades", "AIG", 0, trades(rows=2, sequence=sequence))
    catalog = Catalog.open(str(tmp_path))
    with pytest.raises(CatalogError, match=r"symbol=AIG/date=2024-01-02\.parquet: row group 1"):
        catalog.read(catalog.pieces("trades", "AIG")[0], Dictionary())


# -- where it is ---------------------------------------------------------------------------


def test_folders_and_file_uris_name_the_same_catalog(tmp_path: Path) -> None:
    write_day(tmp_path, "bars_1m", "AIG", 0, bars(rows=5))
    for uri in (str(tmp_path), f"{tmp_path}/", tmp_path.as_uri(), tmp_path.as_uri() + "/"):
        assert Catalog.open(uri).symbols == ["AIG"]


@pytest.mark.parametrize("uri", ["gopher://x/y", "s3://", "://"])
def test_an_address_that_cannot_be_says_what_can(uri: str) -> None:
    with pytest.raises(CatalogError, match="give a folder or a URI"):
        open_filesystem(uri)


def test_a_root_that_is_no_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(CatalogError, match="is not a folder: it is a file"):
        Catalog.open(str(tmp_path / "file"))
    with pytest.raises(CatalogError, match="is not a folder: there is nothing"):
        Catalog.open(str(tmp_path / "absent"))


def test_an_empty_folder_is_a_catalog_without_symbols(tmp_path: Path) -> None:
    catalog = Catalog.open(str(tmp_path))
    assert (catalog.symbols, catalog.summary(), catalog.broken_files) == ([], {}, [])


# -- tables beside the streams -------------------------------------------------------------


def test_official_closes_by_day(tmp_path: Path) -> None:
    table = pa.table({"date": pa.array(DAYS, pa.date32()), "close": [1.5, None, float("nan")]})
    write(tmp_path, "daily/symbol=AIG/daily.parquet", table)
    write(tmp_path, "daily/symbol=BAD/daily.parquet", pa.table({"date": DAYS}))
    (tmp_path / "daily/symbol=CUT").mkdir()
    (tmp_path / "daily/symbol=CUT/daily.parquet").write_bytes(b"PAR1")
    catalog = Catalog.open(str(tmp_path))
    assert daily_closes(catalog, "AIG") == {OPEN_NS // DAY_NS: 1.5}
    assert daily_closes(catalog, "NONE") == {}
    with pytest.raises(CatalogError, match="no column 'close'"):
        daily_closes(catalog, "BAD")
    with pytest.raises(CatalogError, match="symbol=CUT"):
        daily_closes(catalog, "CUT")


# -- memory and effort ---------------------------------------------------------------------


def test_a_shared_row_group_is_read_once(tmp_path: Path) -> None:
    tables = [with_symbol(bars(rows=10, seed=i), f"S{i}") for i in range(5)]
    path = write(tmp_path, "bars_1m/all.parquet", pa.concat_tables(tables))
    files, fs = WatchedFiles.make()
    catalog = Catalog.open(str(tmp_path), None, fs)
    files.opened.clear()
    for symbol in catalog.symbols:
        assert len(rows_of(catalog, "bars_1m", symbol)[0]) == 10
    assert files.opened == [str(path)]


def test_tables_that_were_read_are_let_go(tmp_path: Path) -> None:
    """However many row groups a stream has, only the few shared ones stay in memory."""
    tables = [with_symbol(bars(rows=3000, seed=i), f"S{i:02d}") for i in range(20)]
    write(tmp_path, "bars_1m/all.parquet", pa.concat_tables(tables), row_group_size=2000)
    for day in range(3):
        write_day(tmp_path, "trades", "T", day, trades(day, 20_000), row_group_size=2000)
    catalog = Catalog.open(str(tmp_path))
    before = pa.total_allocated_bytes()
    most, rows = 0, 0
    for symbol in catalog.symbols:
        for dataset in catalog.datasets(symbol):
            for piece in catalog.pieces(dataset, symbol):
                rows += len(catalog.read(piece, Dictionary())[0])
                most = max(most, pa.total_allocated_bytes() - before)
    assert rows == 20 * 3000 + 60_000
    one_group = 2000 * 7 * 8
    assert most < 8 * one_group < rows * 7 * 8 / 5


def test_kept_values_are_bounded() -> None:
    kept = RecentValues(2)
    for n in range(5):
        kept.put(n, str(n))
    assert [kept.get(n) for n in range(5)] == [None, None, None, "3", "4"]


def test_rows_without_a_time_are_read_and_marked(tmp_path: Path) -> None:
    ns = [OPEN_NS, None, OPEN_NS + MINUTE_NS]
    write_day(tmp_path, "bars_1m", "AIG", 0, bars(rows=3, ts=stamps(ns)))
    items, _ = rows_of(Catalog.open(str(tmp_path)), "bars_1m", "AIG")
    assert items["release_ns"].tolist() == [
        OPEN_NS + MINUTE_NS,
        np.iinfo(np.int64).min,
        OPEN_NS + 2 * MINUTE_NS,
    ]
