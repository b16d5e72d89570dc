"""Each check of the doctor on a small bad catalog, and all of them on real data."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import date, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from app.catalog.doctor import COLUMNS, Diagnosis, Finding, Severity, diagnose
from app.errors import CatalogError, RequestError

MONDAY = date(2013, 10, 7)
TUESDAY = date(2013, 10, 8)
MINUTE = 60_000_000_000
NAN = float("nan")
Bar = tuple[int | None, float | None, float | None, float | None, float | None, float | None]


def at(clock: str, day: date = MONDAY, zone: str = "America/New_York") -> int:
    moment = datetime.fromisoformat(f"{day}T{clock}").replace(tzinfo=ZoneInfo(zone))
    return int(moment.timestamp()) * 1_000_000_000


def flat(ts: int, price: float = 10.0, volume: float = 100) -> Bar:
    return (ts, price, price, price, price, volume)


def span(first: str, count: int, day: date = MONDAY, price: float = 10.0) -> list[Bar]:
    """``count`` bars from a wall time on; their prices alternate, so that none is invented."""
    return [flat(at(first, day) + i * MINUTE, price + i % 2 / 100) for i in range(count)]


def full_day(day: date = MONDAY, price: float = 10.0) -> list[Bar]:
    return span("09:30", 390, day, price)


def write(path: Path, columns: dict[str, Any]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    columns = columns | {"ts": pa.array(columns["ts"], pa.timestamp("ns", "UTC"))}
    pq.write_table(pa.table(columns), path)
    return path


def write_bars(root: Path, bars: list[Bar], day: date = MONDAY, symbol: str = "A") -> Path:
    names = ("ts", "open", "high", "low", "close", "volume")
    columns: dict[str, Any] = dict(zip(names, map(list, zip(*bars, strict=True)), strict=True))
    for name in names[1:]:
        columns[name] = pa.array(columns[name], pa.float64())
    columns["vwap"] = pa.nulls(len(bars), pa.float64())
    return write(root / f"bars_1m/symbol={symbol}/date={day}.parquet", columns)


def write_quotes(root: Path, rows: list[tuple[Any, ...]]) -> Path:
    names = ("ts", "bid", "bid_size", "ask", "ask_size")
    columns: dict[str, Any] = dict(zip(names, map(list, zip(*rows, strict=True)), strict=True))
    texts = {"exchange": ["Q"] * len(rows), "side": ["B"] * len(rows)}
    return write(root / f"quotes/symbol=A/date={MONDAY}.parquet", columns | texts)


def write_trades(root: Path, rows: list[tuple[Any, ...]]) -> Path:
    """Rows of (ts, price, size, suspicious)."""
    names = ("ts", "price", "size", "suspicious")
    columns: dict[str, Any] = dict(zip(names, map(list, zip(*rows, strict=True)), strict=True))
    texts = {"exchange": ["Q"] * len(rows), "conditions": [""] * len(rows)}
    return write(root / f"trades/symbol=A/date={MONDAY}.parquet", columns | texts)


def write_side(root: Path, dataset: str, table: dict[str, Any]) -> Path:
    name = {"daily": "daily", "corporate_actions": "actions"}[dataset]
    path = root / dataset / "symbol=A" / f"{name}.parquet"
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(table), path)
    return path


def only(diagnosis: Diagnosis, check: str) -> Finding:
    (found,) = [f for f in diagnosis.findings if f.check == check]
    return found


def checks(diagnosis: Diagnosis) -> set[str]:
    return {finding.check for finding in diagnosis.findings}


def test_a_whole_day_has_nothing_to_find(tmp_path: Path) -> None:
    write_bars(tmp_path, [*full_day(), flat(at("16:00"))])
    found = diagnose(str(tmp_path))
    assert (found.findings, found.files, found.items, found.exit_code) == ([], 1, 391, 0)


def test_gap_of_a_busy_name_is_a_warning_with_its_place(tmp_path: Path) -> None:
    bars = full_day()
    write_bars(tmp_path, bars[:100] + bars[130:])
    found = only(diagnose(str(tmp_path)), "missing_minutes")
    assert (found.severity, found.count, found.days) == (Severity.WARNING, 30, 1)
    assert found.place.day == MONDAY
    assert found.example == "360 of 390 minutes; longest gap 30 from 2013-10-07T15:10:00Z"


def test_gaps_of_a_thin_name_are_an_info(tmp_path: Path) -> None:
    write_bars(tmp_path, full_day()[::5])
    found = only(diagnose(str(tmp_path)), "missing_minutes")
    assert (found.severity, found.count) == (Severity.INFO, 312)


def test_a_lunch_break_is_no_gap(tmp_path: Path) -> None:
    day = date(2024, 2, 5)
    first, second = (at(c, day, "Asia/Hong_Kong") for c in ("09:30", "13:00"))
    bars = [flat(first + i * MINUTE, 10 + i % 2) for i in range(150)]
    bars += [flat(second + i * MINUTE, 10 + i % 2) for i in range(180)]
    write_bars(tmp_path, bars, day)
    assert diagnose(str(tmp_path), calendar="XHKG").findings == []


def test_minutes_in_a_lunch_break_are_outside_sessions(tmp_path: Path) -> None:
    day = date(2024, 2, 5)
    write_bars(tmp_path, [flat(at("12:30", day, "Asia/Hong_Kong"))], day)
    found = diagnose(str(tmp_path), calendar="XHKG")
    assert only(found, "outside_sessions").count == 1


def test_missing_days_are_counted(tmp_path: Path) -> None:
    write_bars(tmp_path, full_day(date(2013, 10, 4)), date(2013, 10, 4))
    write_bars(tmp_path, full_day(date(2013, 10, 9)), date(2013, 10, 9))
    found = only(diagnose(str(tmp_path)), "missing_days")
    assert (found.count, found.days, found.place.day) == (2, 2, MONDAY)
    assert found.example == "2 between 2013-10-04 and 2013-10-09"


def test_duplicates_are_warned_of_and_conflicts_are_errors(tmp_path: Path) -> None:
    bars = full_day()
    write_bars(tmp_path, [*bars[:2], bars[1], bars[1], *bars[2:]])
    write_bars(tmp_path, [*bars[:2], flat(at("09:31"), 99.0), *bars[2:]], symbol="B")
    found = diagnose(str(tmp_path))
    duplicate, conflict = only(found, "duplicate"), only(found, "conflict")
    assert (duplicate.severity, duplicate.count, duplicate.place.row) == (Severity.WARNING, 2, 3)
    assert (conflict.severity, conflict.count) == (Severity.ERROR, 1)
    assert conflict.place.symbol == "B"
    assert checks(found) == {"duplicate", "conflict"}
    assert found.exit_code == 1


def test_duplicates_are_seen_across_files(tmp_path: Path) -> None:
    write_bars(tmp_path, full_day())
    again = [full_day()[-1], *full_day(TUESDAY)]
    write_bars(tmp_path, again, TUESDAY)
    found = diagnose(str(tmp_path))
    assert only(found, "duplicate").place.file == f"bars_1m/symbol=A/date={TUESDAY}.parquet"


def test_disorder_names_the_first_row(tmp_path: Path) -> None:
    bars = full_day()
    write_bars(tmp_path, [*bars[:10], *bars[11:13], bars[10], *bars[13:]])
    found = only(diagnose(str(tmp_path)), "disorder")
    assert (found.severity, found.count, found.place.row) == (Severity.ERROR, 1, 13)
    assert "stands after 2013-10-07T13:42:00Z" in found.example


@pytest.mark.parametrize(
    ("bad", "check", "said"),
    [
        ((None, 1.0, 1.0, 1.0, 1.0, 1.0), "null", "ts is null"),
        ((at("09:31"), 1.0, 1.0, 1.0, None, 1.0), "null", "close is null"),
        ((at("09:31"), NAN, 1.0, 1.0, 1.0, 1.0), "nan", "open is nan"),
        ((at("09:31"), 1.0, float("inf"), 1.0, 1.0, 1.0), "infinite", "high is infinite"),
        ((at("09:31"), 1.0, 1.0, -1.0, 1.0, 1.0), "negative", "low is negative"),
        ((at("09:31"), 1.0, 1.0, 1.0, 1.0, -5.0), "negative", "volume is negative"),
        ((at("09:31"), 5.0, 4.0, 3.0, 3.5, 1.0), "ohlc", "open=5 high=4 low=3 close=3.5"),
        ((at("09:31"), 5.0, 6.0, 5.5, 5.8, 1.0), "ohlc", "low=5.5"),
        ((at("09:31") + 1, 1.0, 1.0, 1.0, 1.0, 1.0), "off_grid", "13:31:00.000000001Z"),
    ],
)
def test_rows_that_cannot_be_are_errors(tmp_path: Path, bad: Bar, check: str, said: str) -> None:
    write_bars(tmp_path, [flat(at("09:30"), 1.0), bad, flat(at("09:32"), 1.01)])
    found = diagnose(str(tmp_path))
    finding = only(found, check)
    assert (finding.severity, finding.count, finding.place.row) == (Severity.ERROR, 1, 2)
    assert said in finding.example
    assert found.exit_code == 1


def test_zero_prices_are_warned_of(tmp_path: Path) -> None:
    write_trades(tmp_path, [(at("09:30"), 0.0, 1, False)])
    assert only(diagnose(str(tmp_path)), "zero_price").severity is Severity.WARNING


def test_identical_trades_are_real(tmp_path: Path) -> None:
    write_trades(tmp_path, [(at("09:30"), 10.0, 1, False)] * 3)
    assert diagnose(str(tmp_path)).findings == []


def test_a_null_truth_is_an_error(tmp_path: Path) -> None:
    write_trades(tmp_path, [(at("09:30"), 10.0, 1, None), (at("09:30"), 10.0, 1, False)])
    assert only(diagnose(str(tmp_path)), "null").example.startswith("suspicious is null")


def test_sparse_crossed_and_locked_quotes_are_infos(tmp_path: Path) -> None:
    normal = [(at("09:30") + i, 9.0, 1, 10.0, 1) for i in range(500)]
    rows = [*normal, (at("09:31"), 10.0, 1, 9.0, 1), (at("09:32"), 10.0, 1, 10.0, 1)]
    write_quotes(tmp_path, rows)
    found = diagnose(str(tmp_path))
    assert [(f.check, f.severity, f.count, f.place.row) for f in found.findings] == [
        ("crossed", Severity.INFO, 1, 501),
        ("locked", Severity.INFO, 1, 502),
    ]


def test_many_crossed_quotes_are_a_warning(tmp_path: Path) -> None:
    write_quotes(tmp_path, [(at("09:30"), 10.0, 1, 9.0, 1)] * 3)
    found = only(diagnose(str(tmp_path)), "crossed")
    assert (found.severity, found.count) == (Severity.WARNING, 3)


def test_a_quote_lacks_a_whole_side_or_none(tmp_path: Path) -> None:
    write_quotes(tmp_path, [
        (at("09:30"), None, None, 9.0, 1), (at("09:30"), None, 5, 9.0, 1),
        (at("09:30"), 8.0, 5, None, None),
    ])  # fmt: skip
    found = diagnose(str(tmp_path))
    half = only(found, "half_side")
    assert (half.count, half.place.row, checks(found)) == (1, 2, {"half_side"})
    assert half.example.endswith("bid=null bid_size=5 ask=9 ask_size=1")


def test_a_quote_without_any_side_is_an_error(tmp_path: Path) -> None:
    write_quotes(tmp_path, [(at("09:30"), 8.0, 5, 9.0, 1), (at("09:30"), None, None, None, None)])
    assert only(diagnose(str(tmp_path)), "null").example.startswith("both sides are null")


def test_nan_where_null_may_be_is_a_warning(tmp_path: Path) -> None:
    write_quotes(tmp_path, [(at("09:30"), NAN, NAN, 9.0, 1.0)])
    found = diagnose(str(tmp_path))
    assert (checks(found), found.exit_code) == ({"nan_for_null"}, 0)


def test_invented_bars_are_found_as_runs(tmp_path: Path) -> None:
    bars = full_day()
    for i in (*range(50, 60), 100):
        price = bars[49 if i < 100 else 99][4]
        bars[i] = (bars[i][0], price, price, price, price, 0)
    write_bars(tmp_path, bars)
    found = only(diagnose(str(tmp_path)), "fill_forward")
    assert (found.severity, found.count, found.place.row) == (Severity.WARNING, 11, 51)
    assert found.example.startswith("2 runs, the longest of 10 bars")


def test_extended_hours_are_an_info_and_nights_a_warning(tmp_path: Path) -> None:
    bars = [flat(at("03:00")), flat(at("04:00")), *full_day(), flat(at("16:00")), flat(at("19:59"))]
    write_bars(tmp_path, bars)
    found = diagnose(str(tmp_path))
    assert only(found, "extended_hours").count == 2
    night = only(found, "outside_sessions")
    assert (night.severity, night.count, night.place.row) == (Severity.WARNING, 1, 1)


def test_rows_of_a_holiday_and_of_another_date(tmp_path: Path) -> None:
    sunday = date(2013, 10, 6)
    write_bars(tmp_path, [flat(at("10:00", sunday))], MONDAY)
    found = diagnose(str(tmp_path))
    assert "2013-10-06 is no trading day" in only(found, "outside_sessions").example
    assert only(found, "wrong_date").example.endswith("is of 2013-10-06")


def test_a_time_that_no_calendar_knows_is_outside_sessions(tmp_path: Path) -> None:
    """Milliseconds taken for nanoseconds come to lie in 1970."""
    write_bars(tmp_path, [flat(at("10:00") // 10**6 // MINUTE * MINUTE)])
    found = diagnose(str(tmp_path), calendar="XHKG")
    assert "1970-01-01 is no trading day" in only(found, "outside_sessions").example


@pytest.mark.parametrize("year", [1690, 2261])
def test_years_beyond_every_calendar(tmp_path: Path, year: int) -> None:
    write_bars(tmp_path, [flat(at("10:00", date(year, 1, 2)))])
    found = diagnose(str(tmp_path), calendar="XHKG")
    assert f"{year}-01-02 is no trading day" in only(found, "outside_sessions").example


def test_a_pause_of_a_lifetime_is_a_wrong_time(tmp_path: Path) -> None:
    """Milliseconds taken for nanoseconds come to lie in 1970, which XNYS knows."""
    write_bars(tmp_path, [flat(at("10:00", date(1970, 1, 5))), *full_day()])
    found = only(diagnose(str(tmp_path)), "implausible_time")
    assert (found.severity, found.place.row) == (Severity.ERROR, 2)


def test_missing_days_over_years(tmp_path: Path) -> None:
    write_bars(tmp_path, full_day(date(2011, 12, 30)), date(2011, 12, 30))
    write_bars(tmp_path, full_day(date(2013, 1, 2)), date(2013, 1, 2))
    found = only(diagnose(str(tmp_path)), "missing_days")
    assert (found.count, found.place.day) == (250, date(2012, 1, 3))


def test_a_session_that_opens_the_evening_before_is_of_its_date(tmp_path: Path) -> None:
    day = date(2024, 2, 6)
    bars = [flat(at(c, date(2024, 2, 5), "America/Chicago")) for c in ("17:00", "23:00")]
    write_bars(tmp_path, bars, day)
    assert checks(diagnose(str(tmp_path), calendar="CMES")) == {"missing_minutes"}


def test_a_jump_like_a_split(tmp_path: Path) -> None:
    write_bars(tmp_path, full_day(MONDAY, 700.0))
    write_bars(tmp_path, full_day(TUESDAY, 100.0), TUESDAY)
    found = only(diagnose(str(tmp_path)), "split_jump")
    assert (found.severity, found.place.day) == (Severity.WARNING, TUESDAY)
    assert found.example.endswith("like a 7:1 split")
    actions = {"date": [TUESDAY], "type": ["split"], "ratio": [7.0], "amount": [None]}
    write_side(tmp_path, "corporate_actions", actions)
    found = only(diagnose(str(tmp_path)), "known_split")
    assert found.severity is Severity.INFO


def test_a_reverse_split_and_a_plain_fall(tmp_path: Path) -> None:
    for symbol, after in (("A", 100.0), ("B", 7.5)):
        write_bars(tmp_path, full_day(MONDAY, 10.0), symbol=symbol)
        write_bars(tmp_path, full_day(TUESDAY, after), TUESDAY, symbol)
    found = diagnose(str(tmp_path))
    assert [f.example for f in found.findings] == [
        "from 10.01 on 2013-10-07 to 100: like a 1:10 split"
    ]


def test_a_bar_that_spans_a_split(tmp_path: Path) -> None:
    bars = [(at("08:00"), 700.0, 700.0, 100.0, 100.0, 5.0), *full_day(MONDAY, 100.0)]
    write_bars(tmp_path, bars)
    found = only(diagnose(str(tmp_path)), "spans_split")
    assert (found.severity, found.place.row) == (Severity.WARNING, 1)


def test_end_stamped_bars_are_suspected(tmp_path: Path) -> None:
    for day in (MONDAY, TUESDAY):
        write_bars(tmp_path, span("09:31", 390, day), day)
    found = only(diagnose(str(tmp_path)), "end_stamped")
    assert (found.severity, found.count, found.days) == (Severity.WARNING, 2, 2)


def test_one_bar_at_an_open_shows_that_bars_are_start_stamped(tmp_path: Path) -> None:
    write_bars(tmp_path, full_day(MONDAY))
    write_bars(tmp_path, span("09:31", 390, TUESDAY), TUESDAY)
    assert "end_stamped" not in checks(diagnose(str(tmp_path)))


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    path = write_bars(tmp_path, full_day())
    path.write_bytes(path.read_bytes()[:-100])
    write_bars(tmp_path, [flat(at("10:00"))], symbol="B").write_text("not Parquet")
    found = diagnose(str(tmp_path))
    assert [(f.check, f.place.symbol, f.severity) for f in found.findings] == [
        ("unreadable", "A", Severity.ERROR), ("unreadable", "B", Severity.ERROR),
    ]  # fmt: skip


def test_a_page_that_is_damaged_is_found_when_it_is_read(tmp_path: Path) -> None:
    path = write_bars(tmp_path, full_day())
    damaged = bytearray(path.read_bytes())
    damaged[4:200] = bytes(196)
    path.write_bytes(bytes(damaged))
    assert only(diagnose(str(tmp_path)), "unreadable").place.file == "bars_1m/symbol=A/" + path.name


def test_wrong_columns_and_types(tmp_path: Path) -> None:
    base = {"ts": [at("10:00")], "open": [1.0], "high": [1.0], "low": [1.0], "close": [1.0]}
    write(tmp_path / f"bars_1m/symbol=A/date={MONDAY}.parquet", base)
    write(tmp_path / f"bars_1m/symbol=B/date={MONDAY}.parquet", base | {"volume": ["many"]})
    found = diagnose(str(tmp_path))
    assert {f.check for f in found.findings} == {"wrong_columns"}
    assert "'volume'" in found.findings[0].example
    assert "string" in found.findings[1].example


def test_empty_files_and_files_out_of_place(tmp_path: Path) -> None:
    empty = {
        name: pa.array([], pa.float64()) for name in ("open", "high", "low", "close", "volume")
    }
    write(tmp_path / f"bars_1m/symbol=A/date={MONDAY}.parquet", {"ts": []} | empty)
    write(tmp_path / "bars_1m/all.parquet", {"ts": []} | empty)
    write(tmp_path / "daily/symbol=A/date=2013-10-07.parquet", {"ts": []} | empty)
    write(tmp_path / "other/symbol=A/date=2013-10-07.parquet", {"ts": []} | empty)
    write(tmp_path / f"bars_1m/symbol=A/.date={MONDAY}.parquet", {"ts": []} | empty)
    found = diagnose(str(tmp_path))
    assert [(f.check, f.place.file) for f in found.findings] == [
        ("wrong_place", "bars_1m/all.parquet"),
        ("wrong_place", "daily/symbol=A/date=2013-10-07.parquet"),
        ("empty_file", f"bars_1m/symbol=A/date={MONDAY}.parquet"),
        ("unknown_dataset", "other/symbol=A/date=2013-10-07.parquet"),
    ]


def _many(symbols: Sequence[str | None]) -> dict[str, Any]:
    count = len(symbols)
    prices = {n: [10.0 + i % 2 for i in range(count)] for n in ("open", "high", "low", "close")}
    stamps = [at("09:30") + i * MINUTE for i in range(count)]
    return {"ts": stamps, "symbol": symbols, "volume": [1] * count, **prices}


def test_files_of_many_symbols(tmp_path: Path) -> None:
    write(tmp_path / "bars_1m/all.parquet", _many(["A"] * 390 + ["B"] * 2))
    found = diagnose(str(tmp_path))
    assert [(f.check, f.place.symbol) for f in found.findings] == [
        ("extended_hours", "B"), ("missing_minutes", "B"),
    ]  # fmt: skip
    assert only(diagnose(str(tmp_path), symbols=["B"]), "missing_minutes").count == 390
    assert diagnose(str(tmp_path), symbols=["A"]).findings == []


def test_symbols_that_alternate_or_lack_are_errors(tmp_path: Path) -> None:
    write(tmp_path / "bars_1m/all.parquet", _many(["A", "B", "A", None]))
    found = diagnose(str(tmp_path))
    assert only(found, "interleaved").severity is Severity.ERROR
    assert only(found, "null").example == "symbol is null"


def test_daily_tables(tmp_path: Path) -> None:
    days = [MONDAY, MONDAY, TUESDAY, date(2013, 10, 9), date(2013, 10, 10)]
    write_side(tmp_path, "daily", {
        "date": days,
        "open": [1.0, 1.0, 1.0, 1.0, 1.0],
        "high": [1.0, 1.0, 0.5, NAN, 1.0],
        "low": [1.0, 1.0, 1.0, 1.0, 1.0],
        "close": [1.0, 1.0, 1.0, 1.0, None],
        "volume": [1, 1, 1, 1, 1],
    })  # fmt: skip
    found = diagnose(str(tmp_path))
    assert [(f.check, f.place.row) for f in found.findings] == [
        ("conflict", 2), ("nan", 4), ("null", 5), ("ohlc", 3),
    ]  # fmt: skip
    assert found.items == 5


def test_corporate_actions(tmp_path: Path) -> None:
    write_side(tmp_path, "corporate_actions", {
        "date": [MONDAY, MONDAY, TUESDAY],
        "type": ["split", "dividend", "spin-off"],
        "ratio": [None, None, 2.0],
        "amount": [None, 0.5, None],
    })  # fmt: skip
    found = only(diagnose(str(tmp_path)), "bad_action")
    assert (found.count, found.place.row, found.days) == (2, 1, 2)


def test_a_broken_action_file_stops_nothing_else(tmp_path: Path) -> None:
    write_bars(tmp_path, full_day())
    write_side(tmp_path, "corporate_actions", {"date": [MONDAY]}).write_text("no Parquet")
    found = diagnose(str(tmp_path))
    assert [(f.check, f.place.dataset) for f in found.findings] == [
        ("unreadable", "corporate_actions")
    ]


def test_columns_of_side_tables(tmp_path: Path) -> None:
    write_side(tmp_path, "corporate_actions", {"date": ["2013-10-07"], "type": ["split"]})
    found = only(diagnose(str(tmp_path)), "wrong_columns")
    assert (found.count, found.example) == (3, "column 'date' is string")


def test_answers_for_programs_and_for_tables(tmp_path: Path) -> None:
    write_bars(tmp_path, [flat(at("09:30")), flat(at("09:30"), 11.0)])
    found = diagnose(str(tmp_path))
    answer = json.loads(json.dumps(found.to_dict()))
    assert (answer["errors"], answer["warnings"], answer["infos"], answer["rows"]) == (1, 1, 0, 2)
    first = answer["findings"][0]
    assert tuple(first) == COLUMNS
    assert (first["check"], first["day"], first["row"]) == ("conflict", "2013-10-07", 2)
    assert first["mend"].startswith("Find out which bar is right")
    rows = found.rows()
    assert rows[0][:4] == ("error", "conflict", "bars_1m", "A")
    assert {len(row) for row in rows} == {len(COLUMNS)}


def test_datasets_and_symbols_can_be_chosen(tmp_path: Path) -> None:
    write_bars(tmp_path, [flat(at("09:30"), -1.0)])
    write_quotes(tmp_path, [(at("09:30"), -1.0, 1, 9.0, 1)])
    assert checks(diagnose(str(tmp_path), datasets=["quotes"])) == {"negative"}
    assert diagnose(str(tmp_path), datasets=["trades"]).files == 0
    assert diagnose(str(tmp_path), symbols=["Z"]).files == 0


def test_what_cannot_be_examined_raises(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match="allowed: bars_1m"):
        diagnose(str(tmp_path), datasets=["bars_5m"])
    with pytest.raises(RequestError, match="unknown calendar"):
        diagnose(str(tmp_path), calendar="XNYC")
    with pytest.raises(CatalogError, match="is not a folder"):
        diagnose(str(tmp_path / "nowhere"))


def test_real_days(real_data: Path) -> None:
    found = diagnose(str(real_data / "parquet"), symbols=["AAPL", "AIG", "BAC", "IBM", "NVR", "SW"])
    assert found.exit_code == 0
    assert only(found, "spans_split").place.day == date(2014, 6, 9)
    assert only(found, "split_jump").example == (
        "from 645.57 on 2014-06-06 to 92.69: like a 7:1 split"
    )
    crossed = {f.place.symbol: f.count for f in found.findings if f.check == "crossed"}
    assert crossed == {"AIG": 199, "IBM": 89}
    thin = [f for f in found.findings if f.place.symbol == "NVR" and f.check == "missing_minutes"]
    assert [(f.severity, f.days) for f in thin] == [(Severity.INFO, 25)]
    assert found.count(Severity.WARNING) == 2


@pytest.mark.parametrize(("symbol", "calendar"), [("9988.HK", "XHKG"), ("AZN.L", "XLON")])
def test_real_fill_forward(real_data: Path, symbol: str, calendar: str) -> None:
    root = str(real_data / "parquet")
    found = diagnose(root, calendar=calendar, symbols=[symbol], datasets=["bars_1m"])
    (finding,) = found.findings
    assert finding.check == "fill_forward"
    assert finding.count == {"9988.HK": 2, "AZN.L": 51}[symbol]
    assert found.exit_code == 0


def test_a_truncated_real_day_is_a_hole(real_data: Path) -> None:
    found = diagnose(str(real_data / "parquet"), symbols=["MSFT"])
    hole = only(found, "missing_minutes")
    assert (hole.severity, hole.count, hole.place.day) == (
        Severity.WARNING, 270, date(2024, 2, 14),
    )  # fmt: skip
