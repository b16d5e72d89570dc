"""The oracle against answers worked out by hand."""

from __future__ import annotations

from datetime import date, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.oracle.derived import DayRecord
from tests.oracle.digest_reference import RECORD, digest
from tests.oracle.reference import Expected, replay

NEW_YORK = ZoneInfo("America/New_York")
HONG_KONG = ZoneInfo("Asia/Hong_Kong")
MONDAY = date(2013, 10, 7)
NOT_A_NUMBER = float("nan")


def at(clock: str, day: date = MONDAY, zone: ZoneInfo = NEW_YORK) -> int:
    """Nanoseconds of a wall time."""
    moment = datetime.fromisoformat(f"{day}T{clock}").replace(tzinfo=zone)
    return int(moment.timestamp()) * 1_000_000_000


def write(root: Path, dataset: str, symbol: str, day: date, columns: dict[str, Any]) -> None:
    columns = columns | {"ts": pa.array(columns["ts"], pa.timestamp("ns", "UTC"))}
    folder = root / dataset / f"symbol={symbol}"
    folder.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(columns), folder / f"date={day}.parquet")


def write_bars(root: Path, symbol: str, rows: list[tuple[Any, ...]], day: date = MONDAY) -> None:
    """Rows of (ts, open, high, low, close, volume[, vwap])."""
    ts, opened, high, low, close, volume, vwap = zip(*[(*r, None)[:7] for r in rows], strict=True)
    write(root, "bars_1m", symbol, day, {
        "ts": ts, "open": opened, "high": high, "low": low, "close": close, "volume": volume,
        "vwap": pa.array(vwap, pa.float64()),
    })  # fmt: skip


def write_trades(root: Path, symbol: str, rows: list[tuple[Any, ...]], **more: Any) -> None:
    """Rows of (ts, price, size, exchange, conditions, suspicious)."""
    names = ("ts", "price", "size", "exchange", "conditions", "suspicious")
    columns = dict(zip(names, map(list, zip(*rows, strict=True)), strict=True))
    write(root, "trades", symbol, MONDAY, columns | more)


def write_quotes(root: Path, symbol: str, rows: list[tuple[Any, ...]]) -> None:
    """Rows of (ts, bid, bid_size, ask, ask_size, exchange, side)."""
    names = ("ts", "bid", "bid_size", "ask", "ask_size", "exchange", "side")
    columns = dict(zip(names, map(list, zip(*rows, strict=True)), strict=True))
    write(root, "quotes", symbol, MONDAY, columns)


def flat(*clocks: str, price: float = 10.0, volume: float = 100) -> list[tuple[Any, ...]]:
    return [(at(c), price, price, price, price, volume) for c in clocks]


def monday(root: Path, *symbols: str, **options: Any) -> Expected:
    return replay(root, symbols, (MONDAY, MONDAY), **options)


def test_order_is_release_then_rank_then_symbol_then_row(tmp_path: Path) -> None:
    minute = at("09:31:00")
    for symbol in ("B", "A"):
        write_bars(tmp_path, symbol, flat("09:30", "09:31", "09:32", "09:33", "09:34"))
        write_trades(tmp_path, symbol, [
            (minute, 10.0, 1, "N", "", False), (minute, 11.0, 1, "N", "", False),
        ])  # fmt: skip
        write_quotes(tmp_path, symbol, [(minute, 9.0, 1, 11.0, 1, "N", "B")])
    found = monday(tmp_path, "B", "A", derived=(5,))
    trade, quote = 0x8000, 0x8001
    first = found.records[found.records["release"] == minute]
    assert list(zip(first["stream"].tolist(), first["symbol"].tolist(), strict=True)) == [
        (trade, 0), (trade, 0), (trade, 1), (trade, 1), (quote, 0), (quote, 1), (1, 0), (1, 1),
    ]  # fmt: skip
    assert first["values"][:4, 0].tolist() == [10.0, 11.0, 10.0, 11.0]
    assert found.symbols == ["A", "B"]
    last = found.records[found.records["release"] == at("09:35")]
    assert last["stream"].tolist() == [1, 1, 5, 5]
    assert np.all(np.diff(found.records["release"]) >= 0)


def test_every_row_is_delivered_or_counted_by_one_reason(tmp_path: Path) -> None:
    bars = [
        *flat("09:29"),  # before_hours
        *flat("09:30"),
        (at("09:31"), NOT_A_NUMBER, 10.0, 10.0, 10.0, 5),  # invalid
        (at("09:59"), 10.0, 10.0, -1.0, 10.0, 5),  # invalid: does not move the running maximum
        *flat("09:31"),
        (at("09:31"), 99.0, 99.0, 99.0, 99.0, 1),  # duplicate, the first is kept
        *flat("09:30"),  # late
        *flat("09:33", "15:59", "16:00"),  # the last one is post-close
        *flat("16:01", "23:58"),  # after_hours
    ]
    write_bars(tmp_path, "A", bars)
    found = monday(tmp_path, "A", derived=())
    assert found.discards() == {
        "before_hours": 1, "in_break": 0, "after_hours": 2,
        "late": 1, "duplicate": 1, "invalid": 2,
    }  # fmt: skip
    rows = found.channel("bars_1m")
    assert rows["ts"].tolist() == [at(c) for c in ("09:30", "09:31", "09:33", "15:59", "16:00")]
    assert rows["flags"].tolist() == [2, 2, 2, 2, 3]
    assert rows["open"].tolist() == [10.0] * 5
    assert found.delivered == {("A", "bars_1m"): 5}


def test_rows_that_hours_discard_still_make_later_ones_late(tmp_path: Path) -> None:
    write_bars(tmp_path, "A", flat("17:00", "09:30"))
    found = monday(tmp_path, "A")
    assert (found.discards()["after_hours"], found.discards()["late"]) == (1, 1)


def test_after_hours_ends_at_midnight(tmp_path: Path) -> None:
    friday = date(2013, 10, 4)
    saturday = [(at(c, date(2013, 10, 5)), 1.0, 1.0, 1.0, 1.0, 1) for c in ("00:30", "12:00")]
    late = [(at("20:30", friday), 1.0, 1.0, 1.0, 1.0, 1)]
    write_bars(tmp_path, "A", late + saturday, friday)
    write_bars(tmp_path, "A", flat("03:59", "04:00"))
    found = replay(tmp_path, ["A"], (friday, MONDAY), hours="extended")
    assert (found.discards()["after_hours"], found.discards()["before_hours"]) == (1, 3)
    assert found.delivered["A", "bars_1m"] == 1


def test_what_lies_outside_the_session_is_not_counted(tmp_path: Path) -> None:
    tuesday = [(at("09:30", date(2013, 10, 8)), 1.0, 1.0, 1.0, 1.0, 1)]
    write_bars(tmp_path, "A", [*flat("09:30"), *tuesday])
    found = monday(tmp_path, "A")
    assert sum(found.discards().values()) == 0
    assert found.delivered["A", "bars_1m"] == 1


def test_hours_all_reach_back_to_the_previous_days_end(tmp_path: Path) -> None:
    friday = date(2013, 10, 4)
    evening = [(at(c, friday), 1.0, 1.0, 1.0, 1.0, 1) for c in ("16:00", "16:01", "16:02")]
    write_bars(tmp_path, "A", evening, friday)
    write_bars(tmp_path, "A", flat("03:00", "09:30", "16:00"))
    found = monday(tmp_path, "A", hours="all", derived=(5,))
    rows = found.channel("bars_1m")
    assert [t == at(c, friday) for t, c in zip(rows["ts"], ("16:01", "16:02"), strict=False)] == [
        True, True,
    ]  # fmt: skip
    assert rows["flags"].tolist() == [2, 2, 2, 2, 3]
    assert found.channel("bars_5m")["ts"].iloc[0] == at("16:01", friday)


def test_derived_bars_keep_the_grid_of_their_part(tmp_path: Path) -> None:
    write_bars(tmp_path, "A", [
        (at("09:28"), 1.0, 1.0, 1.0, 1.0, 1),
        (at("09:30"), 10.0, 12.0, 9.0, 11.0, 100, 10.5),
        (at("09:33"), 11.0, 15.0, 8.0, 14.0, 300, 12.5),
        (at("09:36"), 14.0, 14.0, 14.0, 14.0, 0),
        (at("16:00"), 99.0, 99.0, 99.0, 99.0, 9),
    ])  # fmt: skip
    found = monday(tmp_path, "A", derived=(5,), hours="regular")
    first, second = found.channel("bars_5m").to_dict("records")
    assert first == {
        "release": at("09:35"), "symbol": "A", "ts": at("09:30"), "flags": 0,
        "open": 10.0, "high": 15.0, "low": 8.0, "close": 14.0, "volume": 400.0,
        "vwap": (10.5 * 100 + 12.5 * 300) / 400, "minutes": 2.0,
    }  # fmt: skip
    assert (second["ts"], second["minutes"]) == (at("09:35"), 1.0)
    assert np.isnan(second["vwap"])


def test_a_bucket_cut_short_is_partial_and_may_be_complete(tmp_path: Path) -> None:
    """Seven-minute buckets: 390 = 55 x 7 + 5."""
    bars = flat("15:53", "15:54", "15:55", "15:56", "15:57", "15:58", "15:59")
    write_bars(tmp_path, "A", bars)
    last = monday(tmp_path, "A", derived=(7,)).channel("bars_7m").to_dict("records")[-1]
    assert (last["ts"], last["release"]) == (at("15:55"), at("16:00"))
    assert (last["minutes"], last["flags"]) == (5.0, 2 | 4)


def test_vwap_is_null_where_one_that_traded_lacks_it(tmp_path: Path) -> None:
    write_bars(tmp_path, "A", [
        (at("09:30"), 10.0, 10.0, 10.0, 10.0, 100, 10.5),
        (at("09:31"), 10.0, 10.0, 10.0, 10.0, 100, None),
    ])  # fmt: skip
    assert np.isnan(monday(tmp_path, "A").channel("bars_5m")["vwap"].iloc[0])


def test_lunch_is_neither_delivered_nor_crossed(tmp_path: Path) -> None:
    day = date(2024, 2, 5)
    clocks = ("11:58", "12:30", "13:00", "13:01")
    rows = [(at(c, day, HONG_KONG), 1.0, 1.0, 1.0, 1.0, 1) for c in clocks]
    write_bars(tmp_path, "9988.HK", rows, day)
    found = replay(tmp_path, ["9988.HK"], (day, day), calendar="XHKG", derived=(60,))
    assert found.discards()["in_break"] == 1
    hours = found.channel("bars_60m")
    starts = [at(c, day, HONG_KONG) for c in ("11:30", "13:00")]
    assert hours["ts"].tolist() == starts
    assert hours["flags"].tolist() == [4, 0]
    record = found.day_records[day, "9988.HK"]
    assert (record.bars, record.expected) == (3, 330)
    assert [minutes for *_, minutes in record.gaps] == [148, 1, 178]


def test_day_records_are_of_the_regular_minutes(tmp_path: Path) -> None:
    write_bars(tmp_path, "A", [
        (at("09:29"), 1.0, 99.0, 1.0, 1.0, 7),
        (at("09:30"), 10.0, 12.0, 9.0, 11.0, 100),
        (at("15:59"), 11.0, 13.0, 10.0, 12.0, 200),
        (at("16:00"), 50.0, 50.0, 50.0, 50.0, 50),
    ])  # fmt: skip
    found = monday(tmp_path, "A", hours="extended")
    assert found.day_records[MONDAY, "A"] == DayRecord(
        10.0, 13.0, 9.0, 12.0, 300.0, 2, 390, 100 * 2 / 390,
        [(at("09:31"), at("15:59"), 388)], 12.0, "last_minute",
    )  # fmt: skip


def test_official_close_prefers_daily_then_the_auction(tmp_path: Path) -> None:
    auctions = [(at("15:59"), 1), (at("16:00"), 2), (at("16:05"), 3), (at("16:11"), 4)]
    rows = [(ts, float(price), 1, "N", "", False) for ts, price in auctions]
    write_trades(tmp_path, "A", rows, auction=["close"] * 4)
    write_bars(tmp_path, "A", flat("15:59"))
    record = monday(tmp_path, "A").day_records[MONDAY, "A"]
    assert (record.official_close, record.close_source) == (3.0, "auction")
    folder = tmp_path / "daily" / "symbol=A"
    folder.mkdir(parents=True)
    pq.write_table(pa.table({"date": [MONDAY], "close": [10.25]}), folder / "daily.parquet")
    record = monday(tmp_path, "A").day_records[MONDAY, "A"]
    assert (record.official_close, record.close_source) == (10.25, "daily")


def test_a_day_without_data_has_an_empty_record(tmp_path: Path) -> None:
    write_bars(tmp_path, "A", flat("09:30"))
    found = replay(tmp_path, ["A"], (MONDAY, date(2013, 10, 8)))
    record = found.day_records[date(2013, 10, 8), "A"]
    assert (record.open, record.bars, record.quality, record.close_source) == (None, 0, 0, None)
    assert [minutes for *_, minutes in record.gaps] == [390]


def test_minutes_are_made_from_eligible_trades(tmp_path: Path) -> None:
    start = at("09:30")
    rows = [
        (start, 50.0, 5, "N", "", False),  # counts for volume alone
        (start + 1, 10.0, 100, "N", "", False),
        (start + 2, 30.0, 7, "N", "", False),  # sets the high alone
        (start + 3, 12.0, 300, "N", "", False),
        (at("09:31"), 77.0, 1, "N", "", False),  # no last: no bar for this minute
        (at("16:00"), 12.0, 300, "N", "", False),  # post-close: no bar
    ]
    write_trades(
        tmp_path, "A", rows,
        updates_last=[False, True, False, True, False, True],
        updates_high_low=[False, True, True, True, True, True],
        updates_volume=[True, True, False, True, True, True],
    )  # fmt: skip
    found = monday(tmp_path, "A", derived=(5,))
    (bar,) = found.channel("bars_1m").to_dict("records")
    assert (bar["open"], bar["high"], bar["low"], bar["close"]) == (10.0, 30.0, 10.0, 12.0)
    assert (bar["volume"], bar["vwap"]) == (405.0, (50 * 5 + 10 * 100 + 12 * 300) / 405)
    assert (bar["ts"], bar["release"], bar["flags"]) == (start, at("09:31"), 2)
    assert found.channel("trades")["flags"].tolist() == [64, 112, 32, 112, 96, 113]
    assert len(found.channel("bars_5m")) == 1


def test_without_permissions_suspicious_trades_make_no_bar(tmp_path: Path) -> None:
    rows = [(at("09:30"), 10.0, 1, "N", "", False), (at("09:30"), 99.0, 1, "N", "", True)]
    write_trades(tmp_path, "A", rows)
    found = monday(tmp_path, "A", derived=())
    assert found.channel("bars_1m")["high"].tolist() == [10.0]
    assert found.channel("trades")["flags"].tolist() == [112, 8]


def test_bars_of_the_catalog_are_preferred_to_trades(tmp_path: Path) -> None:
    write_trades(tmp_path, "A", [(at("09:30"), 10.0, 1, "N", "", False)])
    write_bars(tmp_path, "A", flat("09:31"))
    assert monday(tmp_path, "A").channel("bars_1m")["ts"].tolist() == [at("09:31")]


@pytest.mark.parametrize(
    ("quote", "valid"),
    [
        ((9.0, 1, 11.0, 1), True),
        ((None, None, 11.0, 1), True),
        ((9.0, 1, None, None), True),
        ((None, 1, 11.0, 1), False),
        ((9.0, None, 11.0, 1), False),
        ((9.0, 1, NOT_A_NUMBER, 1), False),
        ((9.0, 1, float("inf"), 1), False),
        ((NOT_A_NUMBER, NOT_A_NUMBER, 11.0, 1.0), True),
        ((None, None, None, None), False),
        ((-9.0, 1, 11.0, 1), False),
    ],
)
def test_a_quote_may_lack_a_whole_side(
    tmp_path: Path, quote: tuple[float | None, ...], valid: bool
) -> None:
    sound = (9.0, 1.0, 11.0, 1.0)
    write_quotes(tmp_path, "A", [(at("09:30"), *row, "N", None) for row in (sound, quote)])
    found = monday(tmp_path, "A")
    assert len(found.channel("quotes")) == 1 + valid
    assert found.discards()["invalid"] == (not valid)


def test_half_day_and_its_extended_hours(tmp_path: Path) -> None:
    half = date(2015, 12, 24)
    rows = [
        (at(c, half), 1.0, 1.0, 1.0, 1.0, 1) for c in ("12:59", "13:00", "16:59", "17:00", "17:01")
    ]
    write_bars(tmp_path, "A", rows, half)
    regular = replay(tmp_path, ["A"], (half, half))
    assert regular.channel("bars_1m")["flags"].tolist() == [2, 3]
    assert regular.day_records[half, "A"].expected == 210
    extended = replay(tmp_path, ["A"], (half, half), hours="extended")
    assert extended.channel("bars_1m")["flags"].tolist() == [2, 2, 2, 3]
    assert extended.discards()["after_hours"] == 1


def test_digest_of_two_records_written_by_hand(tmp_path: Path) -> None:
    """The second day has no data, and still a link."""
    write_trades(tmp_path, "B", [(at("09:30"), 10.5, 3, "N", None, True)])
    write_quotes(tmp_path, "A", [(at("09:30"), None, None, -0.0, 2, "Q", "N")])
    found = replay(tmp_path, ["B", "A"], (MONDAY, date(2013, 10, 8)), derived=())
    nan = NOT_A_NUMBER
    records = [
        RECORD.pack(at("09:30"), 1, 0x8000, 8, 10.5, 3, 0, -1, 0, 0, 0),
        RECORD.pack(at("09:30"), 0, 0x8001, 0, nan, nan, 0, 2, 1, 0, 0),
    ]
    assert found.words == ["N", "Q"]
    assert found.records.tobytes() == b"".join(records)
    assert found.digest == digest(["B", "A"], [(b"".join(records), ["N", "Q"]), (b"", [])])
    assert found.digest != digest(["B", "A"], [(b"".join(records), ["N", "Q"])])


def test_words_are_numbered_by_first_appearance_across_streams_and_days(tmp_path: Path) -> None:
    write_trades(tmp_path, "A", [
        (at("09:30"), 1.0, 1, "N", "x", False), (at("09:32"), 1.0, 1, "x", "y", False),
    ])  # fmt: skip
    write_quotes(tmp_path, "A", [(at("09:31"), 1.0, 1, 2.0, 1, "z", "N")])
    found = monday(tmp_path, "A", derived=())
    assert found.words == ["N", "x", "z", "y"]
    assert found.channel("trades")["conditions"].tolist() == ["x", "y"]
    assert found.channel("quotes")[["exchange", "side"]].to_numpy().tolist() == [["z", "N"]]
