"""CSV files to catalog files: what is read, and what is rejected and why."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from app.catalog.importers import Example, ImportReport, import_csv
from app.errors import CatalogError, RequestError
from app.times import format_time
from tests.catalog.made import imported, times

BARS = "ts,open,high,low,close,volume\n"
UTC_TIME = "2024-03-08T14:30:00Z"


def put(folder: Path, name: str, text: str) -> Path:
    path = folder / "in" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def bring(folder: Path, source: Path, **options: Any) -> ImportReport:
    report = import_csv(str(source), str(folder / "out"), **options)
    assert report.rows_read == report.rows_written + report.rejected.total
    assert not list((folder / "out").rglob(".*"))
    return report


def one_bar(ts: str, rest: str = "1,2,0.5,1.5,100") -> str:
    return f"{ts},{rest}\n"


def test_bars_are_sorted_and_split_by_trading_date(tmp_path: Path) -> None:
    rows = [
        one_bar("2024-03-09T00:59:00Z", "3,3,3,3,7"),  # 19:59 in New York
        one_bar("2024-03-08T14:31:00Z"),
        one_bar("2024-03-08T14:30:00Z"),
        one_bar("2024-03-11T13:30:00Z"),
    ]
    report = bring(tmp_path, put(tmp_path, "ABC.csv", BARS + "".join(rows)))
    found = imported(tmp_path, "bars_1m/symbol=ABC/date=2024-03-08.parquet")
    assert times(found) == ["2024-03-08T14:30:00Z", "2024-03-08T14:31:00Z", "2024-03-09T00:59:00Z"]
    assert found.schema.names == ["ts", "open", "high", "low", "close", "volume", "vwap"]
    assert found.schema.field("ts").type == pa.timestamp("ns", "UTC")
    assert found.schema.field("volume").type == pa.int64()
    assert found.column("vwap").null_count == 3
    assert (report.files_read, report.files_written, report.rows_written) == (1, 2, 4)
    assert report.to_dict()["rejected"] == {}
    metadata = found.schema.metadata[b"tapedeck"].decode()
    assert metadata == '{"source": "ABC.csv", "version": 1, "zone": "America/New_York"}'


def test_columns_time_and_symbol_are_mapped(tmp_path: Path) -> None:
    text = (
        "Sym;Day;Clock;o;h;l;c;Shares;VWAP\n"
        "BRK/B;08.03.2024;09:31;1;2;0.5;1.5;0.25;1.25\n"
        " X Y ;08.03.2024;09:31;1;2;0.5;1.5;100;\n"
    )
    names = {"open": "o", "high": "h", "low": "l", "close": "c", "volume": "Shares"}
    columns = {**names, "symbol": "Sym", "ts": "Day + Clock", "vwap": "VWAP"}
    bring(
        tmp_path, put(tmp_path, "all.csv", text), columns=columns, delimiter=";",
        time_format="%d.%m.%Y %H:%M", stamped="end",
    )  # fmt: skip
    found = imported(tmp_path, "bars_1m/symbol=BRK%2FB/date=2024-03-08.parquet")
    assert times(found) == ["2024-03-08T14:30:00Z"]  # 09:31 is the end of the bar of 09:30
    assert found.column("volume").to_pylist() == [0.25]
    assert found.column("vwap").to_pylist() == [1.25]
    other = imported(tmp_path, "bars_1m/symbol=X%20Y/date=2024-03-08.parquet")
    assert other.schema.field("volume").type == pa.int64()
    assert other.column("vwap").to_pylist() == [None]


def test_a_bar_stamped_with_its_end_at_midnight_belongs_to_the_day_before(tmp_path: Path) -> None:
    source = put(tmp_path, "X.csv", BARS + one_bar("2024-03-09T00:00:00Z"))
    bring(tmp_path, source, stamped="end", zone="UTC")
    assert (tmp_path / "out/bars_1m/symbol=X/date=2024-03-08.parquet").is_file()


def test_without_header_columns_have_numbers(tmp_path: Path) -> None:
    source = put(tmp_path, "X.csv", "1709908200,1,2,0.5,1.5,100\n")
    columns = {"ts": "1", "open": "2", "high": "3", "low": "4", "close": "5", "volume": "6"}
    bring(tmp_path, source, columns=columns, header=False, time_format="s")
    assert times(imported(tmp_path, "bars_1m/symbol=X/date=2024-03-08.parquet")) == [UTC_TIME]


def test_a_time_zone_may_be_another_than_the_exchange(tmp_path: Path) -> None:
    source = put(tmp_path, "X.csv", BARS + one_bar("2024-03-08 15:30:00"))
    bring(tmp_path, source, time_format="iso", time_zone="Europe/Berlin")
    assert times(imported(tmp_path, "bars_1m/symbol=X/date=2024-03-08.parquet")) == [UTC_TIME]


def test_every_rejected_row_is_counted_by_its_reason_with_examples(tmp_path: Path) -> None:
    bad = {
        "no time": one_bar(""),
        "unreadable time": one_bar("yesterday"),
        "bar off the minute grid": one_bar("2024-03-08T14:30:01Z"),
        "null": one_bar("2024-03-08T14:32:00Z", "1,,0.5,1.5,100"),
        "NaN": one_bar("2024-03-08T14:32:00Z", "1,NaN,0.5,1.5,100"),
        "infinite": one_bar("2024-03-08T14:32:00Z", "1,inf,0.5,1.5,100"),
        "negative": one_bar("2024-03-08T14:32:00Z", "1,2,-0.5,1.5,100"),
        "not a number": one_bar("2024-03-08T14:32:00Z", "1,2,0.5,1.5,many"),
        "too large": one_bar("2024-03-08T14:32:00Z", "1,2,0.5,1.5,1e17"),
        "wrong number of columns": "2024-03-08T14:32:00Z,1\n",
        "duplicate bar, equal": one_bar(UTC_TIME),
        "duplicate bar, conflicting (the first is kept)": one_bar(UTC_TIME, "1,2,0.5,1.6,100"),
    }
    text = BARS + one_bar(UTC_TIME) + "".join(bad.values())
    report = bring(tmp_path, put(tmp_path, "X.csv", text))
    assert report.rejected.by_reason == dict.fromkeys(bad, 1)
    assert report.rows_written == 1
    found = imported(tmp_path, "bars_1m/symbol=X/date=2024-03-08.parquet")
    assert found.column("close").to_pylist() == [1.5]
    rows = {reason: report.rejected.examples[reason][0].row for reason in bad}
    assert list(rows.values()) == list(range(3, 15))  # the header is row 1
    assert report.rejected.examples["unreadable time"] == [Example("X.csv", 4, "ts = 'yesterday'")]
    assert report.rejected.examples["negative"][0].what == "low = '-0.5'"
    assert "2 columns instead of 6" in report.rejected.examples["wrong number of columns"][0].what


def test_only_the_first_examples_are_kept_and_row_numbers_hold_in_long_files(
    tmp_path: Path,
) -> None:
    lines = [f"{1709908200 + 60 * i},1,2,0.5,1.5,100\n" for i in range(200_000)]
    lines[70] = "short\n"
    lines[150_000] = "1709908200,x,2,0.5,1.5,100\n"
    for place in range(190_000, 190_010):
        lines[place] = "1709908200,-1,2,0.5,1.5,100\n"
    source = put(tmp_path, "X.csv", BARS + "".join(lines))
    report = bring(tmp_path, source, time_format="s", zone="UTC", memory_rows=30_000)
    examples = report.rejected.examples
    assert examples["wrong number of columns"][0].row == 72
    assert examples["not a number"][0].row == 150_002
    assert [e.row for e in examples["negative"]] == list(range(190_002, 190_007))
    assert report.rejected.by_reason["negative"] == 10
    assert report.rows_written == 200_000 - 12


def test_rows_of_a_wrong_width_are_all_counted_wherever_they_are(tmp_path: Path) -> None:
    lines = [
        "short\n" if m % 7 == 3 else f"{1709856000 + 60 * m},1,2,0.5,1.5,100\n"
        for m in range(300_000)
    ]
    source = put(tmp_path, "X.csv", BARS + "".join(lines) + "1709856000,bad,1,1,1,1\n" + "end\n")
    report = bring(tmp_path, source, time_format="s", zone="UTC")
    wanted = sum(m % 7 == 3 for m in range(300_000)) + 1
    assert report.rejected.by_reason == {"wrong number of columns": wanted, "not a number": 1}
    assert report.rejected.examples["not a number"][0].row == 300_002
    assert report.rows_read == 300_002


def test_clock_changes_are_rejected_or_decided_and_counted(tmp_path: Path) -> None:
    rows = [
        one_bar("2024-03-10 01:59"), one_bar("2024-03-10 02:30"), one_bar("2024-03-10 03:00"),
        one_bar("2024-11-03 01:30"), one_bar("2024-11-03 01:30", "2,2,2,2,2"),
        one_bar("2024-11-03 01:00", "3,3,3,3,3"),
    ]  # fmt: skip
    report = bring(tmp_path, put(tmp_path, "X.csv", BARS + "".join(rows)), time_format="iso")
    assert report.rejected.by_reason == {
        "time that the clock never showed (put forward)": 1,
        "duplicate bar, conflicting (the first is kept)": 1,
    }
    assert report.notes.by_reason == {
        "time that came twice (clock put back), taken as the first": 2,
        "time that came twice (clock put back), taken as the second": 1,
    }
    assert times(imported(tmp_path, "bars_1m/symbol=X/date=2024-11-03.parquet")) == [
        "2024-11-03T05:30:00Z",
        "2024-11-03T06:00:00Z",
    ]


def test_trades_keep_their_order_and_optional_columns(tmp_path: Path) -> None:
    text = (
        "ts,price,size,exchange,conditions,suspicious,updates_last,auction,sequence\n"
        "2024-03-08T14:30:01Z,5,10,N,@,0,true,,3\n"
        "2024-03-08T14:30:00.000000001Z,6,10,,,1,no,open,2\n"
        "2024-03-08T14:30:01Z,5,10,N,@,0,Y,,3\n"
        "2024-03-08T14:30:02Z,5,10,N,@,perhaps,Y,,3\n"
        "2024-03-08T14:30:02Z,5,10,N,@,0,Y,noon,3\n"
        "2024-03-08T14:30:02Z,5,10,N,@,0,Y,,3.5\n"
    )
    report = bring(tmp_path, put(tmp_path, "X.csv", text), dataset="trades")
    assert report.rejected.by_reason == {
        "neither true nor false": 1, "not open or close": 1, "not a whole number": 1,
    }  # fmt: skip
    found = imported(tmp_path, "trades/symbol=X/date=2024-03-08.parquet").to_pydict()
    assert found["price"] == [6.0, 5.0, 5.0]  # identical trades are real
    assert found["updates_last"] == [False, True, True]
    assert found["suspicious"] == [True, False, False]
    assert found["auction"] == ["open", None, None]
    assert found["sequence"] == [2, 3, 3]
    assert found["exchange"] == [None, "N", "N"]
    assert "updates_volume" not in found


def test_quotes_may_lack_a_whole_side(tmp_path: Path) -> None:
    text = (
        "ts,bid,bid_size,ask,ask_size,side\n"
        "2024-03-08T14:30:01Z,5,10,,,B\n"
        "2024-03-08T14:30:02Z,5,10,6,7.5,A\n"
        "2024-03-08T14:30:03Z,,,,,\n"
        "2024-03-08T14:30:04Z,5,,6,7,\n"
        "2024-03-08T14:30:05Z,5,1,6,7,X\n"
    )
    report = bring(tmp_path, put(tmp_path, "X.csv", text), dataset="quotes")
    assert report.rejected.by_reason == {
        "quote without a side": 1,
        "quote side with only a price or only a size": 1,
        "not B or A": 1,
    }
    found = imported(tmp_path, "quotes/symbol=X/date=2024-03-08.parquet")
    assert found.to_pydict()["ask_size"] == [None, 7.5]
    assert found.schema.names[-2:] == ["exchange", "side"]


def test_a_fraction_anywhere_makes_all_sizes_of_the_symbol_fractional(tmp_path: Path) -> None:
    text = BARS + one_bar("2024-03-08T14:30:00Z") + one_bar("2024-03-11T14:30:00Z", "1,1,1,1,0.5")
    source = put(tmp_path, "X.csv", text)
    bring(tmp_path, source)
    first = imported(tmp_path, "bars_1m/symbol=X/date=2024-03-08.parquet")
    assert first.schema.field("volume").type == pa.float64()
    whole = put(tmp_path, "Y.csv", BARS + one_bar(UTC_TIME))
    bring(tmp_path, whole, fractional_sizes=True)
    second = imported(tmp_path, "bars_1m/symbol=Y/date=2024-03-08.parquet")
    assert second.schema.field("volume").type == pa.float64()


def test_a_folder_is_read_with_packed_files_and_folders_that_name_the_symbol(
    tmp_path: Path,
) -> None:
    put(tmp_path, "symbol=BRK%2FB/x.csv", BARS + one_bar(UTC_TIME))
    put(tmp_path, "ABC.csv", "\ufeff" + BARS + one_bar(UTC_TIME))
    packed = tmp_path / "in" / "DEF.csv.gz"
    packed.write_bytes(gzip.compress((BARS + one_bar(UTC_TIME)).encode()))
    put(tmp_path, "notes.md", "not data")
    seen: list[tuple[int, int, str]] = []
    report = bring(tmp_path, tmp_path / "in", progress=lambda *step: seen.append(step))
    assert report.files_read == 3
    symbols = sorted(p.name for p in (tmp_path / "out/bars_1m").iterdir())
    assert symbols == ["symbol=ABC", "symbol=BRK%2FB", "symbol=DEF"]
    assert seen[0] == (0, 3, "reading ABC.csv")
    assert seen[-1] == (3, 3, "written")
    assert (1, 3, "writing BRK/B 2024-03-08") in seen


def test_symbol_column_fixed_symbol_and_file_name(tmp_path: Path) -> None:
    text = "symbol," + BARS + f"AAA,{one_bar(UTC_TIME)}" + f",{one_bar(UTC_TIME)}"
    source = put(tmp_path, "BBB.csv", text)
    report = bring(tmp_path, source)
    assert report.rejected.by_reason == {"no symbol": 1}
    bring(tmp_path, source, symbol_from="file")
    bring(tmp_path, source, symbol="CCC")
    symbols = sorted(p.name for p in (tmp_path / "out/bars_1m").iterdir())
    assert symbols == ["symbol=AAA", "symbol=BBB", "symbol=CCC"]


def test_bars_of_several_minutes_are_refused(tmp_path: Path) -> None:
    rows = [one_bar(format_time((1709908200 + 300 * i) * 10**9)) for i in range(30)]
    source = put(tmp_path, "X.csv", BARS + "".join(rows))
    with pytest.raises(CatalogError, match=r"bars of X are 5 minutes apart .all 30"):
        bring(tmp_path, source)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "X.csv: is empty"),
        ("\n\n", "X.csv: is empty"),
        ("a,b\n1,2\n", r"X.csv: no column 'ts' for bars_1m; it has \['a', 'b'\].*ts=<its name>"),
        ("ts," + BARS + "1,1,1,1,1,1,1\n", "column 'ts' .for 'ts'. is there 2 times"),
        (BARS + "2024-03-08T14:30:00Z,1,\udcff,1,1,1\n", "X.csv: cannot be read as CSV"),
    ],
)
def test_a_file_that_cannot_be_used_is_named(tmp_path: Path, text: str, message: str) -> None:
    put(tmp_path, "A.csv", BARS + one_bar(UTC_TIME))
    (tmp_path / "in/X.csv").write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(CatalogError, match=message):
        bring(tmp_path, tmp_path / "in")
    assert not (tmp_path / "out").exists()  # not even what came before it


def test_a_broken_packed_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "in" / "X.csv.gz"
    path.parent.mkdir()
    path.write_bytes(b"not packed")
    with pytest.raises(CatalogError, match=r"X.csv.gz: cannot be read"):
        bring(tmp_path, path)


def test_a_source_that_is_absent_or_without_files_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(CatalogError, match="absent is not there"):
        bring(tmp_path, tmp_path / "absent")
    (tmp_path / "empty").mkdir()
    with pytest.raises(CatalogError, match="no CSV files"):
        bring(tmp_path, tmp_path / "empty")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"dataset": "bars_5m"}, "dataset: 'bars_5m' is not allowed; nearest: bars_1m"),
        ({"stamped": "middle"}, "allowed: start, end"),
        ({"stamped": "end", "dataset": "trades"}, "for bars; trades have a time of their own"),
        ({"symbol_from": "title"}, "allowed: column, file"),
        ({"symbol": ""}, "symbol is empty"),
        ({"columns": {"opn": "o"}}, "'opn' is not allowed; nearest: open"),
        ({"columns": {"symbol": "s"}, "symbol": "X"}, "symbol or symbol_from says otherwise"),
        ({"time_format": "epoch"}, "unknown time format 'epoch'"),
        ({"zone": "Nowhere"}, "unknown time zone 'Nowhere'"),
        ({"delimiter": "::"}, "must be one character"),
    ],
)
def test_wrong_options_are_refused(tmp_path: Path, options: dict[str, Any], message: str) -> None:
    source = put(tmp_path, "X.csv", BARS + one_bar(UTC_TIME))
    with pytest.raises(RequestError, match=message):
        bring(tmp_path, source, **options)


def test_a_named_column_that_is_absent_is_an_error(tmp_path: Path) -> None:
    source = put(tmp_path, "X.csv", BARS + one_bar(UTC_TIME))
    with pytest.raises(CatalogError, match=r"column 'when' .for 'ts'. is there 0 times"):
        bring(tmp_path, source, columns={"ts": "when"})
    with pytest.raises(CatalogError, match="no column 'symbol'"):
        bring(tmp_path, source, symbol_from="column")


def test_duplicates_are_found_across_the_pieces_of_a_great_day(tmp_path: Path) -> None:
    minutes = [f"{1709856000 + 60 * m},1,2,0.5,{m},100\n" for m in range(1440)]
    again = [line for line in minutes for _ in range(2)] + minutes[:1]
    source = put(tmp_path, "X.csv", BARS + "".join(again))
    report = bring(tmp_path, source, time_format="s", zone="UTC", memory_rows=300)
    assert report.rejected.by_reason == {"duplicate bar, equal": 1441}
    found = imported(tmp_path, "bars_1m/symbol=X/date=2024-03-08.parquet")
    assert found.column("close").to_pylist() == list(range(1440))


def test_again_is_harmless(tmp_path: Path) -> None:
    source = put(tmp_path, "X.csv", BARS + one_bar(UTC_TIME))
    bring(tmp_path, source)
    path = tmp_path / "out/bars_1m/symbol=X/date=2024-03-08.parquet"
    first = path.read_bytes()
    bring(tmp_path, source)
    assert path.read_bytes() == first
