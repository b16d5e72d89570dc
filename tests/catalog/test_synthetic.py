"""The synthetic catalog: always the same, and consistent with itself."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from app.calendar import Hours, TradingCalendar
from app.catalog.synthetic import (
    COMPANIES,
    TICK_DAY,
    Company,
    is_synthetic_complete,
    write_synthetic,
)
from app.errors import CatalogError
from tests.catalog.made import files

HALF_DAY = date(2024, 11, 29)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("synthetic") / "catalog"
    write_synthetic(folder)
    return folder


def read(root: Path, dataset: str, symbol: str, day: date) -> pa.Table:
    path = root / dataset / f"symbol={symbol}" / f"date={day}.parquet"
    return pq.read_table(path, partitioning=None)


def test_the_same_seed_gives_the_same_bytes_and_another_does_not(
    root: Path, tmp_path: Path
) -> None:
    write_synthetic(tmp_path / "again")
    write_synthetic(tmp_path / "other", seed=8)
    assert files(tmp_path / "again") == files(root)
    assert files(tmp_path / "other").keys() == files(root).keys()
    assert files(tmp_path / "other") != files(root)


def test_it_has_eight_symbols_and_ten_days_around_the_half_day(root: Path) -> None:
    days = {p.stem for p in root.glob("bars_1m/*/*.parquet")}
    assert len(days) == 10
    assert f"date={HALF_DAY}" in days
    assert "date=2024-11-28" not in days
    assert len(list(root.glob("bars_1m/*"))) == len(COMPANIES) == 8
    for dataset in ("trades", "quotes"):
        found = list(root.glob(f"{dataset}/*/*.parquet"))
        assert {p.stem for p in found} == {f"date={TICK_DAY}"}
        assert len(found) == 8
    assert "synthetic" in (root / "README.txt").read_text()


def test_a_write_that_was_interrupted_is_not_complete(root: Path, tmp_path: Path) -> None:
    assert is_synthetic_complete(root)
    assert not is_synthetic_complete(tmp_path / "absent")
    target = tmp_path / "cut"
    target.mkdir()
    (target / "bars_1m").write_text("a file in the way")
    with pytest.raises(CatalogError, match="bars_1m"):
        write_synthetic(target)
    assert not is_synthetic_complete(target)
    (target / "bars_1m").unlink()
    write_synthetic(target)
    assert is_synthetic_complete(target)
    assert files(target) == files(root)


@pytest.mark.parametrize("company", COMPANIES, ids=lambda c: c.symbol)
def test_bars_are_sound_and_end_in_an_auction(root: Path, company: Company) -> None:
    symbol = company.symbol
    calendar = TradingCalendar("XNYS", Hours.EXTENDED, 0, date(2024, 11, 22), date(2024, 12, 6))
    for day in calendar.range(date(2024, 11, 22), date(2024, 12, 6))[0]:
        bars = read(root, "bars_1m", symbol, day.date)
        table = bars.to_pydict()
        starts = bars.column("ts").cast(pa.int64()).to_pylist()
        assert starts == sorted(set(starts))
        assert all(s % 60_000_000_000 == 0 for s in starts)
        assert day.first_ns <= starts[0] <= day.open_ns
        assert starts[-1] < day.hours_end_ns
        for o, h, low, c in zip(
            table["open"], table["high"], table["low"], table["close"], strict=True
        ):
            assert 0 < low <= min(o, c) <= max(o, c) <= h
        at_close = starts.index(day.close_ns)
        assert table["open"][at_close] == table["low"][at_close] == table["high"][at_close]
        assert day.open_ns in starts


def test_thin_symbols_miss_minutes(root: Path) -> None:
    counts = [read(root, "bars_1m", c.symbol, TICK_DAY).num_rows for c in COMPANIES]
    assert counts[0] > 390 > counts[-1]


@pytest.mark.parametrize("symbol", ["ALFA", "HTEL"])
def test_trades_add_up_to_the_bars(root: Path, symbol: str) -> None:
    trades = read(root, "trades", symbol, TICK_DAY)
    trades = trades.set_column(0, "ns", trades.column("ts").cast(pa.int64()))
    bars = read(root, "bars_1m", symbol, TICK_DAY)
    relation = duckdb.sql("""
        with numbered as (select *, row_number() over () as n from trades)
        select ns // 60000000000 as minute,
               arg_min(price, n) filter (updates_last) as open,
               max(price) filter (updates_high_low) as high,
               min(price) filter (updates_high_low) as low,
               arg_max(price, n) filter (updates_last) as close,
               cast(sum(size) filter (updates_volume) as bigint) as volume,
               round(sum(price * size) filter (updates_volume) / sum(size)
                     filter (updates_volume), 4) as vwap
        from numbered group by 1 order by 1""")
    assert relation is not None
    made = relation.to_arrow_table()
    names = ["open", "high", "low", "close", "volume"]
    assert made.column("minute").to_pylist() == [
        t // 60_000_000_000 for t in bars.column("ts").cast(pa.int64()).to_pylist()
    ]
    assert made.select(names).to_pydict() == bars.select(names).to_pydict()
    for ours, theirs in zip(
        made.column("vwap").to_pylist(), bars.column("vwap").to_pylist(), strict=True
    ):
        assert ours == pytest.approx(theirs, abs=2e-4)


@pytest.mark.parametrize("symbol", [c.symbol for c in COMPANIES])
def test_ticks_are_ordered_and_of_every_kind(root: Path, symbol: str) -> None:
    trades = read(root, "trades", symbol, TICK_DAY)
    times = trades.column("ts").cast(pa.int64()).to_pylist()
    assert times == sorted(times)
    assert len(set(times)) < len(times)
    assert trades.column("auction").to_pylist().count("open") == 1
    assert trades.column("auction").to_pylist().count("close") == 1
    assert sum(trades.column("suspicious").to_pylist()) == 1
    assert not all(trades.column("updates_last").to_pylist())
    assert min(trades.column("size").to_pylist()) > 0
    quotes = read(root, "quotes", symbol, TICK_DAY).to_pylist()
    assert all(q["bid"] is not None or q["ask"] is not None for q in quotes)
    assert quotes[0]["bid"] is None or quotes[0]["ask"] is None
    assert all(q["bid"] < q["ask"] for q in quotes if None not in (q["bid"], q["ask"]))
    stamps = [q["ts"].value for q in quotes]
    assert stamps == sorted(stamps)


def test_daily_is_the_day_with_its_auction(root: Path) -> None:
    path = root / "daily" / "symbol=BRVO" / "daily.parquet"
    daily = {r["date"]: r for r in pq.read_table(path, partitioning=None).to_pylist()}
    assert len(daily) == 10
    bars = read(root, "bars_1m", "BRVO", HALF_DAY).to_pylist()
    inside = [b for b in bars if "14:30" <= b["ts"].strftime("%H:%M") <= "18:00"]
    row = daily[HALF_DAY]
    assert inside[-1]["ts"].strftime("%H:%M") == "18:00"  # 13:00 in New York
    assert row["close"] == inside[-1]["close"]
    assert row["open"] == inside[0]["open"]
    assert row["high"] == max(b["high"] for b in inside)
    assert row["low"] == min(b["low"] for b in inside)
    assert row["volume"] == sum(b["volume"] for b in inside)
