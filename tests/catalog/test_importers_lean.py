"""Files in Lean's format to catalog files, by hand-made ones and by the real ones."""

from __future__ import annotations

import io
import zipfile
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from app.catalog.importers import Example, ImportReport, import_lean
from app.catalog.importers.lean_conditions import trade_eligibility
from app.catalog.importers.lean_factors import corporate_actions, read_factor_rows
from app.errors import CatalogError, NotFoundError
from app.times import parse_time_ns
from tests.catalog.made import imported, times

OPEN_MS = 34_200_000  # 09:30


def put(root: Path, name: str, *texts: str) -> Path:
    """A zip of one CSV or more, or a plain file."""
    path = root / "equity" / "usa" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    if not name.endswith(".zip"):
        path.write_text(texts[0])
        return path
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        for number, text in enumerate(texts):
            archive.writestr(f"{number}.csv", text)
    path.write_bytes(data.getvalue())
    return path


def bring(folder: Path, **options: Any) -> ImportReport:
    report = import_lean(str(folder / "in"), str(folder / "out"), **options)
    assert report.rows_read == report.rows_written + report.rejected.total
    return report


def test_minute_bars(tmp_path: Path) -> None:
    put(
        tmp_path / "in", "minute/abc/20240308_trade.zip",
        f"{OPEN_MS + 60_000},12500,12600,12400,12550,300\n{OPEN_MS},10000,10000,10000,10000,100\n",
    )  # fmt: skip
    report = bring(tmp_path)
    found = imported(tmp_path, "bars_1m/symbol=ABC/date=2024-03-08.parquet")
    assert times(found) == ["2024-03-08T14:30:00Z", "2024-03-08T14:31:00Z"]
    assert found.column("open").to_pylist() == [1.0, 1.25]
    assert found.column("volume").to_pylist() == [100, 300]
    assert found.schema.field("volume").type == pa.int64()
    metadata = found.schema.metadata[b"tapedeck"].decode()
    assert '"source": "equity/usa/minute/abc/20240308_trade.zip"' in metadata
    assert (report.files_read, report.files_written) == (1, 1)


def test_milliseconds_are_of_the_wall_clock_on_days_of_a_clock_change(tmp_path: Path) -> None:
    hour = 3_600_000
    rest = ",10000,10000,10000,10000,1\n"
    for day in ("20240310", "20241103"):
        text = "".join(f"{h * hour}{rest}" for h in (1, 2, 4))
        put(tmp_path / "in", f"minute/abc/{day}_trade.zip", text)
    report = bring(tmp_path)
    forward = imported(tmp_path, "bars_1m/symbol=ABC/date=2024-03-10.parquet")
    assert times(forward) == ["2024-03-10T06:00:00Z", "2024-03-10T08:00:00Z"]
    back = imported(tmp_path, "bars_1m/symbol=ABC/date=2024-11-03.parquet")
    assert times(back) == ["2024-11-03T05:00:00Z", "2024-11-03T07:00:00Z", "2024-11-03T09:00:00Z"]
    assert report.rejected.by_reason == {"time that the clock never showed (put forward)": 1}
    assert report.notes.total == 1


def test_rows_that_cannot_be_used_are_counted(tmp_path: Path) -> None:
    rows = [
        f"{OPEN_MS},1,1,1,1,1", "86400000,1,1,1,1,1", "-1,1,1,1,1,1", "soon,1,1,1,1,1",
        f"{OPEN_MS + 1},1,1,1,1,1", f"{OPEN_MS},1,1,1", f"{OPEN_MS},1,-1,1,1,1",
        f"{OPEN_MS},1,,1,1,1", f"{OPEN_MS},1,1,1,1,1", ",1,1,1,1,1", "1e308,1,1,1,1,1",
    ]  # fmt: skip
    put(tmp_path / "in", "minute/abc/20240308_trade.zip", "\n".join(rows))
    report = bring(tmp_path)
    assert report.rejected.by_reason == {
        "time outside its day": 3,
        "not a number": 1,
        "bar off the minute grid": 1,
        "wrong number of columns": 1,
        "negative": 1,
        "null": 1,
        "duplicate bar, equal": 1,
        "no time": 1,
    }
    name = "equity/usa/minute/abc/20240308_trade.zip"
    assert report.rejected.examples["negative"] == [Example(name, 7, "high = -0.0001")]


def test_a_daily_file_without_a_row_that_can_be_used_is_not_written(tmp_path: Path) -> None:
    put(tmp_path / "in", "daily/abc.zip", "soon,1,1,1,1,1\n20240308 00:00,1,1,1,-1,1\n")
    report = bring(tmp_path)
    assert (report.files_read, report.files_written, report.rejected.total) == (1, 0, 2)
    assert not (tmp_path / "out").exists() or not list((tmp_path / "out").rglob("*.parquet"))


def test_trades_carry_what_they_update(tmp_path: Path) -> None:
    conditions = ["1", "40", "80", "80000001", "4000000", "", "xyz", "1"]
    rows = [f"{OPEN_MS + i},10000,{100 + i},N,{c},0" for i, c in enumerate(conditions[:-1])]
    rows += [f"{OPEN_MS + 7},10000,107,N,1,1", f"{OPEN_MS + 8},10000,107,N,1,2"]
    put(tmp_path / "in", "tick/abc/20240308_trade.zip", "\n".join(rows))
    report = bring(tmp_path)
    assert report.rejected.by_reason == {
        "conditions that are no bit mask": 1, "neither true nor false": 1,
    }  # fmt: skip
    found = imported(tmp_path, "trades/symbol=ABC/date=2024-03-08.parquet").to_pydict()
    assert found["size"] == [100, 101, 102, 103, 104, 105, 107]
    assert found["conditions"] == ["1", "40", "80", "80000001", "4000000", None, "1"]
    assert found["updates_last"] == [True, True, True, False, False, True, False]
    assert found["updates_high_low"] == [True, True, True, False, False, True, False]
    assert found["updates_volume"] == [True, True, True, True, False, True, False]
    assert found["auction"] == [None, "open", "close", None, None, None, None]
    assert found["suspicious"] == [False] * 6 + [True]


@pytest.mark.parametrize(
    ("mask", "inside", "outside"),
    [  # last, high and low, volume
        (0x0, "yyy", "yyy"),
        (0x20000020, "yyy", "yyy"),  # sweep
        (0x2, "nny", "nny"),  # cash
        (0x4, "nny", "nny"),  # next day
        (0x8, "nyy", "nyy"),  # seller
        (0x200, "nyy", "nyy"),  # derivatively priced
        (0x800, "nyy", "nyy"),  # sold last
        (0x4800, "nyy", "nyy"),  # sold, out of sequence
        (0x4000, "nny", "nny"),
        (0x2000, "nny", "yyy"),  # extended hours
        (0x400, "nny", "yyy"),  # form T
        (0x6000, "nny", "nny"),  # extended hours, out of sequence
        (0x40200, "nny", "nny"),  # stock option, derivatively priced
        (0x100200, "nny", "nny"),  # average price
        (0x400000, "nny", "nny"),  # price variation
        (0x1000000, "nnn", "nnn"),  # official close
        (0x2000000, "nyy", "nyy"),  # prior reference price
        (0x4000000, "nnn", "nnn"),  # official open
        (0x80000000, "nny", "nny"),  # odd lot
    ],
)
def test_eligibility_by_condition(mask: int, inside: str, outside: str) -> None:
    column = pa.array([f"{mask:x}"] * 3)
    session = (100, 200)
    found = trade_eligibility(
        column, np.array([100, 200, 99]), np.zeros(3, bool), session
    )  # fmt: skip
    got = [
        "".join("y" if m[row] else "n" for m in (found.last, found.high_low, found.volume))
        for row in range(3)
    ]
    assert got == [inside, outside, outside]
    holiday = trade_eligibility(column, np.array([150, 150, 150]), np.zeros(3, bool), None)
    assert holiday.last.tolist() == [outside[0] == "y"] * 3
    nothing = trade_eligibility(column, np.array([150] * 3), np.ones(3, bool), session)
    assert not (nothing.last | nothing.high_low | nothing.volume).any()


def test_quotes_carry_the_other_side_forward(tmp_path: Path) -> None:
    rows = [
        f"{OPEN_MS},0,0,10100,5,Q,1,0",
        f"{OPEN_MS + 1},10000,7,0,0,P,1,0",
        f"{OPEN_MS + 1},0,0,10200,6,N,1,0",
        f"{OPEN_MS + 2},10050,9,0,0,P,1,1",  # suspicious: changes nothing
        f"{OPEN_MS + 3},0,0,0,0,P,1,0",
        f"{OPEN_MS + 4},10010,8,10090,4,Z,1,0",
        f"{OPEN_MS + 5},10010,,0,0,Z,1,0",
        f"{OPEN_MS + 6},0,0,10080,3,Z,1,0",
        f"{OPEN_MS + 7},0,0,10080,3,Z,1,maybe",
    ]
    put(tmp_path / "in", "tick/abc/20240308_quote.zip", "\n".join(rows))
    put(
        tmp_path / "in", "tick/abc/20240311_quote.zip", f"{OPEN_MS},10000,7,0,0,P,0\n"
    )  # fmt: skip
    report = bring(tmp_path)
    assert report.rejected.by_reason == {
        "suspicious quote": 1, "quote without a side": 1, "null": 1, "neither true nor false": 1,
    }  # fmt: skip
    found = imported(tmp_path, "quotes/symbol=ABC/date=2024-03-08.parquet").to_pydict()
    assert found["bid"] == [None, 1.0, 1.0, 1.001, 1.001]
    assert found["bid_size"] == [None, 7, 7, 8, 8]
    assert found["ask"] == [1.01, 1.01, 1.02, 1.009, 1.008]
    assert found["ask_size"] == [5, 5, 6, 4, 3]
    assert found["side"] == ["A", "B", "A", None, "A"]
    seven = imported(tmp_path, "quotes/symbol=ABC/date=2024-03-11.parquet")  # without condition
    assert seven.column("bid").to_pylist() == [1.0]


def test_daily(tmp_path: Path) -> None:
    rows = [
        "20240308 00:00,10000,11000,9000,10500,1000", "20240307 00:00,10000,11000,9000,10500,1000",
        "20240308 00:00,1,1,1,1,1", "20241301 00:00,1,1,1,1,1", "20240309 00:00,1,1,1,x,1",
        "20240309 00:00,1,1,1,-1,1", "20240309 00:00,1,1,,1,1", "20240309 00:00,1,1,1,1,-1",
    ]  # fmt: skip
    put(tmp_path / "in", "daily/abc.zip", "\n".join(rows))
    report = bring(tmp_path)
    found = imported(tmp_path, "daily/symbol=ABC/daily.parquet")
    assert found.schema.field("date").type == pa.date32()
    assert found.to_pylist() == [
        {"date": day, "open": 1.0, "high": 1.1, "low": 0.9, "close": 1.05, "volume": 1000}
        for day in (date(2024, 3, 7), date(2024, 3, 8))
    ]
    assert report.rejected.by_reason == {
        "unreadable time": 1, "not a number": 1, "negative": 2, "null": 1,
        "day that comes twice (the first is kept)": 1,
    }  # fmt: skip
    assert found.schema.field("volume").type == pa.int64()


def test_daily_with_fractional_volume(tmp_path: Path) -> None:
    put(tmp_path / "in", "daily/abc.zip", "20240308 00:00,1,1,1,1,1.5\n")
    bring(tmp_path)
    found = imported(tmp_path, "daily/symbol=ABC/daily.parquet")
    assert found.column("volume").to_pylist() == [1.5]


FACTORS = """20140101,0.9,0.0357143,1
20140606,0.9,0.0357143,645.57
20140806,0.9045,0.25,100

20150306,0.9045,0.5,50
never,1,1,1
20150400
20150410,-1,1,1
20150501,1.1,0.5,50
20501231,1,0.5,0
"""


def test_factor_files(tmp_path: Path) -> None:
    put(tmp_path / "in", "daily/abc.zip", "20240308 00:00,1,1,1,1,1\n")
    put(tmp_path / "in", "factor_files/abc.csv", FACTORS)
    put(tmp_path / "in", "factor_files/one.csv", "20501231,1,1,0\n")
    put(tmp_path / "in", "factor_files/none.csv", "20140101,1,1,1\n20501231,1,1,0\n")
    report = bring(tmp_path)
    found = imported(tmp_path, "corporate_actions/symbol=ABC/actions.parquet").to_pylist()
    monday = date(2014, 6, 9)  # the first trading day after Friday
    share = 0.9 / 0.9045
    assert found == [
        {"date": monday, "type": "split", "ratio": 7.0, "amount": None},
        {"date": monday, "type": "dividend", "ratio": None, "amount": pytest.approx(
            645.57 * (1 - share), abs=1e-4)},
        {"date": date(2014, 8, 7), "type": "split", "ratio": 2.0, "amount": None},
        {"date": date(2015, 3, 9), "type": "dividend", "ratio": None, "amount": pytest.approx(
            50 * (1 - 0.9045 / 1.1), abs=1e-4)},
    ]  # fmt: skip
    assert report.actions == 4
    assert report.notes.by_reason == {
        "factor row that cannot be read, left out": 3,
        "factor step that is no dividend, left out": 1,
    }
    assert not (tmp_path / "out/corporate_actions/symbol=ONE").exists()
    assert not (tmp_path / "out/corporate_actions/symbol=NONE").exists()


@pytest.mark.parametrize(
    ("before", "after", "ratio"),
    [
        ("0.0178571", "0.0357143", 2.0),
        ("0.00892857", "0.01785710", 2.0),
        ("0.0357143", "0.25", 7.0),
        ("0.666667", "1", 1.5),
        ("20", "1", 0.05),
        ("0.997307", "1", 1.0027),
        ("0.0333333", "1", 30.0),
        ("0.123456789", "1", 8.1),  # 8.1000000737, of which six digits are sure
    ],
)
def test_a_split_is_the_simplest_ratio_within_the_rounding(
    before: str, after: str, ratio: float
) -> None:
    text = f"20240101,1,{before},100\n20240201,1,{after},0\n"
    report = ImportReport()
    rows = read_factor_rows(text, "f", report)
    found = corporate_actions(rows, lambda d: d + timedelta(days=1), "f", report).to_pylist()
    assert [(a["date"], a["ratio"]) for a in found] == [(date(2024, 1, 2), ratio)]


def test_what_is_no_input_is_counted_as_skipped(tmp_path: Path) -> None:
    root = tmp_path / "in"
    put(root, "minute/abc/20240308_trade.zip", f"{OPEN_MS},1,1,1,1,1\n")
    put(root, "minute/abc/20240308_quote.zip", "x")
    put(root, "second/abc/20240308_trade.zip", "x")
    put(root, "hour/abc.zip", "x")
    put(root, "map_files/abc.csv", "x")
    put(root, "minute/abc/20241399_trade.zip", "x")
    put(root, "tick/abc/20240308_openinterest.zip", "x")
    report = bring(tmp_path)
    assert report.skipped.by_reason == {
        "quote bars are no input of the server": 1,
        "of bars only those of one minute are an input": 2,
        "map files (renamed symbols) are not used": 1,
        "not a file that is known": 2,
    }
    assert report.files_read == 1


def test_symbols_and_progress(tmp_path: Path) -> None:
    for symbol in ("abc", "def"):
        put(tmp_path / "in", f"minute/{symbol}/20240308_trade.zip", f"{OPEN_MS},1,1,1,1,1\n")
    seen: list[tuple[int, int, str]] = []
    bring(tmp_path, symbols=["Def"], progress=lambda *step: seen.append(step))
    assert [p.name for p in (tmp_path / "out/bars_1m").iterdir()] == ["symbol=DEF"]
    assert seen == [(0, 1, "equity/usa/minute/def/20240308_trade.zip"), (1, 1, "done")]
    with pytest.raises(NotFoundError, match="no files of ABD; nearest: ABC"):
        bring(tmp_path, symbols=["ABD"])


@pytest.mark.parametrize("below", ["", "equity", "equity/usa"])
def test_the_source_may_be_given_at_any_depth(tmp_path: Path, below: str) -> None:
    put(tmp_path / "in", "minute/abc/20240308_trade.zip", f"{OPEN_MS},1,1,1,1,1\n")
    report = import_lean(str(tmp_path / "in" / below), str(tmp_path / "out"))
    assert report.files_written == 1


def test_a_folder_that_is_not_leans_is_refused(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    with pytest.raises(CatalogError, match="no equity/usa with minute, tick or daily"):
        bring(tmp_path)


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        (("1,2,3\n",), "its first row has 3 columns; minute_trade needs 6"),
        (("",), "its first row has 1 columns"),
        (("1", "2"), "has 2 files inside; one CSV is needed"),
        (("1,1,1,1,1,\xff\n",), "cannot be read"),
    ],
)
def test_a_zip_that_cannot_be_used_is_named(
    tmp_path: Path, texts: tuple[str, ...], message: str
) -> None:
    path = put(tmp_path / "in", "minute/abc/20240308_trade.zip", *texts)
    if "\xff" in texts[0]:
        path.write_bytes(path.read_bytes().replace("\xff".encode(), b"\xff\xff"))
    with pytest.raises(CatalogError, match=f"^equity/usa/minute/abc/20240308_trade.zip: {message}"):
        bring(tmp_path)
    assert not [p for p in (tmp_path / "out").rglob("*") if p.is_file()]


def test_a_zip_that_is_cut_off_is_named(tmp_path: Path) -> None:
    path = put(tmp_path / "in", "minute/abc/20240308_trade.zip", f"{OPEN_MS},1,1,1,1,1\n" * 1000)
    path.write_bytes(path.read_bytes()[:500])
    with pytest.raises(CatalogError, match=r"20240308_trade.zip: cannot be read"):
        bring(tmp_path)


# The real files, against tables that were converted by another program.


@pytest.fixture(scope="module")
def real(
    real_data: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, Path, ImportReport]:
    out = tmp_path_factory.mktemp("lean")
    report = import_lean(str(real_data / "lean"), str(out), memory_rows=50_000)
    return real_data, out, report


REAL = [
    *(("bars_1m", s, f"2013-10-{d}") for s in ("AIG", "IBM", "BAC", "SPY")
      for d in ("04", "07", "08")),
    *(("bars_1m", "AAPL", f"2014-06-{d}") for d in ("05", "06", "09")),
    *(("bars_1m", "GOOG", f"2015-12-{d}") for d in ("23", "24", "28")),
    *(("bars_1m", "SHY", f"2008-03-{d}") for d in ("07", "10")),
    *(("trades", s, "2013-10-07") for s in ("AIG", "IBM", "SPY")),
    ("quotes", "IBM", "2013-10-07"),
]  # fmt: skip


@pytest.mark.parametrize(("dataset", "symbol", "day"), REAL)
def test_real_files_are_as_converted_elsewhere(
    real: tuple[Path, Path, ImportReport], dataset: str, symbol: str, day: str
) -> None:
    data, out, _ = real
    relative = f"{dataset}/symbol={symbol}/date={day}.parquet"
    ours = pq.read_table(out / relative, partitioning=None)
    theirs = pq.read_table(data / "parquet" / relative, partitioning=None)
    ours = ours.select(theirs.column_names)
    assert ours.schema.equals(theirs.schema)
    assert ours.equals(theirs)


def test_real_files_are_all_accounted_for(real: tuple[Path, Path, ImportReport]) -> None:
    data, _, report = real
    files = [p for p in (data / "lean" / "equity").rglob("*") if p.suffix in (".zip", ".csv")]
    assert report.files_read + report.skipped.total == len(files)
    assert report.rejected.by_reason == {"suspicious quote": 1}
    assert report.rows_read == report.rows_written + 1


@pytest.mark.parametrize("symbol", ["AAPL", "AIG", "BAC", "GOOG", "IBM", "SPY"])
def test_real_daily_bars(real: tuple[Path, Path, ImportReport], symbol: str) -> None:
    data, out, _ = real
    archive = zipfile.ZipFile(data / "lean/equity/usa/daily" / f"{symbol.lower()}.zip")
    with archive, archive.open(archive.namelist()[0]) as member:
        wanted = [line.decode().strip().split(",") for line in member]
    found = pq.read_table(out / "daily" / f"symbol={symbol}" / "daily.parquet", partitioning=None)
    got = [
        [r["date"].strftime("%Y%m%d 00:00"), *(f"{r[n] * 10_000:.0f}" for n in
         ("open", "high", "low", "close")), str(r["volume"])]
        for r in found.to_pylist()
    ]  # fmt: skip
    assert got == wanted


@pytest.mark.parametrize(
    ("symbol", "splits"),
    [
        ("AAPL", [(date(2000, 6, 21), 2.0), (date(2005, 2, 28), 2.0), (date(2014, 6, 9), 7.0),
                  (date(2020, 8, 31), 4.0)]),
        ("AIG", [(date(1998, 8, 3), 1.5), (date(1999, 8, 2), 1.25), (date(2000, 7, 31), 1.5),
                 (date(2009, 7, 1), 0.05)]),
        ("SPY", []),
    ],
)  # fmt: skip
def test_real_splits(
    real: tuple[Path, Path, ImportReport], symbol: str, splits: list[tuple[date, float]]
) -> None:
    path = real[1] / "corporate_actions" / f"symbol={symbol}" / "actions.parquet"
    found = pq.read_table(path, partitioning=None).to_pylist()
    assert [(a["date"], a["ratio"]) for a in found if a["type"] == "split"] == splits


def test_real_dividends(real: tuple[Path, Path, ImportReport]) -> None:
    path = real[1] / "corporate_actions" / "symbol=AAPL" / "actions.parquet"
    found = {a["date"]: a["amount"] for a in pq.read_table(path, partitioning=None).to_pylist()}
    assert found[date(2012, 8, 9)] == 2.65
    assert found[date(2014, 8, 7)] == 0.47
    assert found[date(2020, 11, 6)] == 0.205


@pytest.mark.parametrize(("symbol", "least"), [("AIG", 428), ("IBM", 451), ("SPY", 825)])
def test_eligible_volume_is_that_of_the_real_bars(
    real: tuple[Path, Path, ImportReport], symbol: str, least: int
) -> None:
    """Official opens and closes repeat trades: without them nearly all minutes agree."""
    _, out, _ = real
    trades = out / "trades" / f"symbol={symbol}" / "date=2013-10-07.parquet"
    bars = out / "bars_1m" / f"symbol={symbol}" / "date=2013-10-07.parquet"
    equal = duckdb.sql(f"""
        with made as (select epoch_ns(ts) // 60000000000 as minute,
                             sum(size) filter (updates_volume) as volume
                      from read_parquet('{trades}', hive_partitioning = false) group by 1)
        select count(*) filter (made.volume = bars.volume)
        from read_parquet('{bars}', hive_partitioning = false) as bars
        join made on made.minute = epoch_ns(bars.ts) // 60000000000""")
    assert equal is not None
    assert equal.fetchall()[0][0] >= least


def test_the_real_auctions_are_marked(real: tuple[Path, Path, ImportReport]) -> None:
    path = real[1] / "trades" / "symbol=IBM" / "date=2013-10-07.parquet"
    marked = [t for t in pq.read_table(path, partitioning=None).to_pylist() if t["auction"]]
    assert [(t["auction"], t["price"], t["size"], t["exchange"]) for t in marked] == [
        ("open", 182.0, 138_862, "N"),
        ("close", 182.01, 151_665, "N"),
    ]
    assert marked[1]["ts"].value > parse_time_ns("2013-10-07T20:00:00Z")
