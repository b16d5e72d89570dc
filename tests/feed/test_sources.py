"""Reading one stream of a catalog: ranges, batches, completeness, and never on the loop."""

from __future__ import annotations

import asyncio
import tracemalloc
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.catalog.store import Catalog
from app.errors import CatalogError
from app.feed.judge import TAKEN, RowJudge
from app.feed.sources import END_NS, ParquetCandleSource
from app.model import Batch, Stream, StreamType
from app.times import DAY_NS, MINUTE_NS
from tests.catalog.made import OPEN_NS, WatchedFiles, bars, stamps, trades, write, write_day
from tests.feed.fakes import collect

BARS = Stream("AIG", StreamType.BAR, 1)
TRADES = Stream("AIG", StreamType.TRADE)
ALWAYS = (-(2**62), 2**62)


@pytest.fixture
def catalog(tmp_path: Path) -> Catalog:
    """Three days of 20 bars and 50 trades."""
    for day in range(3):
        write_day(tmp_path, "bars_1m", "AIG", day, bars(day), row_group_size=6)
        write_day(tmp_path, "trades", "AIG", day, trades(day, sequence=range(50)))
    return Catalog.open(str(tmp_path))


def _all(
    catalog: Catalog, stream: Stream, low: int, high: int, rows: int, part_rows: int = 1000
) -> list[Batch]:
    source = ParquetCandleSource(catalog, stream, low, high, rows=rows, part_rows=part_rows)
    return asyncio.run(collect(source))


def _starts(batches: Sequence[Batch]) -> list[int]:
    return [int(t) for batch in batches for t in batch.starts_ns]


@pytest.mark.parametrize("part_rows", [1000, 4, 1])
@pytest.mark.parametrize("stream", [BARS, TRADES])
def test_batches_of_any_size_give_the_same_rows(
    catalog: Catalog, stream: Stream, part_rows: int
) -> None:
    reference = np.concatenate([b.items for b in _all(catalog, stream, *ALWAYS, 100_000)])
    for rows in (1, 7, 64, 8192):
        batches = _all(catalog, stream, *ALWAYS, rows, part_rows)
        assert max(len(b.items) for b in batches) <= rows
        assert np.concatenate([b.items for b in batches]).tobytes() == reference.tobytes()
        assert batches[-1].complete_through_ns == END_NS
        assert all(b.complete_through_ns < END_NS for b in batches[:-1])


@pytest.mark.parametrize("first_rows", [1, 5, 30])
@pytest.mark.parametrize("stream", [BARS, TRADES])
def test_a_small_first_batch_gives_the_same_rows(
    catalog: Catalog, stream: Stream, first_rows: int
) -> None:
    reference = _all(catalog, stream, *ALWAYS, 20)
    source = ParquetCandleSource(catalog, stream, *ALWAYS, rows=20, first_rows=first_rows)
    batches = asyncio.run(collect(source))
    assert len(batches[0].items) <= first_rows
    assert len(batches) > len(reference) - (first_rows >= 20)
    assert _starts(batches) == _starts(reference)
    assert batches[-1].complete_through_ns == END_NS


@pytest.mark.parametrize("rows", [1, 7, 64])
def test_a_range_is_cut_by_start_with_its_end_outside(catalog: Catalog, rows: int) -> None:
    low, high = OPEN_NS + 3 * MINUTE_NS, OPEN_NS + 2 * DAY_NS + 5 * MINUTE_NS
    starts = _starts(_all(catalog, BARS, low, high, rows))
    every = [OPEN_NS + day * DAY_NS + i * MINUTE_NS for day in range(3) for i in range(20)]
    assert starts == [t for t in every if low <= t < high]
    assert _starts(_all(catalog, TRADES, low, high, rows)) == [
        t for t in _starts(_all(catalog, TRADES, *ALWAYS, rows)) if low <= t < high
    ]


def test_a_sequence_goes_with_its_rows(catalog: Catalog) -> None:
    low = OPEN_NS + 5 * 10**9
    for rows, part_rows in ((1, 1000), (7, 1000), (64, 1000), (64, 6), (7, 20)):
        batches = _all(catalog, TRADES, low, OPEN_NS + DAY_NS, rows, part_rows)
        sequence = np.concatenate([b.sequence for b in batches if b.sequence is not None])
        assert len(sequence) == sum(len(b.items) for b in batches)
        assert sequence.tolist() == list(range(50 - len(sequence), 50))


@pytest.mark.parametrize("rows", [1, 7, 64])
def test_in_order_completeness_stands_just_before_the_next_row(catalog: Catalog, rows: int) -> None:
    source = ParquetCandleSource(catalog, BARS, *ALWAYS, rows=rows)
    assert source.complete_through_ns == OPEN_NS + MINUTE_NS - 1
    batches = asyncio.run(collect(source))
    for batch, following in pairwise(batches):
        assert batch.complete_through_ns == int(following.items["release_ns"][0]) - 1
    assert source.complete_through_ns == END_NS


def test_a_range_without_rows_ends_at_once(catalog: Catalog) -> None:
    source = ParquetCandleSource(catalog, BARS, 0, 1)
    assert not source.has_rows
    assert source.complete_through_ns == END_NS
    (batch,) = asyncio.run(collect(source))
    assert (len(batch.items), batch.complete_through_ns) == (0, END_NS)


@pytest.mark.parametrize("rows", [1, 2, 64])
def test_rows_without_a_time_at_the_end_are_given_before_the_end(tmp_path: Path, rows: int) -> None:
    ns = [OPEN_NS, OPEN_NS + MINUTE_NS, None, None]
    write_day(tmp_path, "bars_1m", "AIG", 0, bars(rows=4, ts=stamps(ns)))
    batches = _all(Catalog.open(str(tmp_path)), BARS, *ALWAYS, rows)
    assert sum(len(b.items) for b in batches) == 4
    assert [b.complete_through_ns == END_NS for b in batches] == [False] * (len(batches) - 1) + [
        True
    ]


# -- disorder ------------------------------------------------------------------------------

_ROWS = st.lists(
    st.tuples(st.one_of(st.none(), st.integers(0, 12)), st.booleans()), min_size=1, max_size=8
)


def _write_disorder(root: Path, files: list[list[tuple[int | None, bool]]], group: int) -> None:
    for number, rows in enumerate(files):
        ns = [None if at is None else OPEN_NS + at * 10**9 for at, _ in rows]
        table = trades(
            rows=len(rows),
            ts=stamps(ns),
            price=[float(10 * number + i) for i in range(len(rows))],
            size=pa.array([5 if sound else -1 for _, sound in rows], pa.int64()),
            suspicious=[False] * len(rows),
        )
        write(root, f"trades/symbol=AIG/{number}.parquet", table, row_group_size=group)


@settings(max_examples=60, deadline=None)
@given(st.lists(_ROWS, min_size=1, max_size=4), st.integers(1, 8), st.data())
def test_completeness_is_never_ahead_of_a_row_that_is_taken(
    files: list[list[tuple[int | None, bool]]], group: int, data: st.DataObject
) -> None:
    """Whatever the disorder and the cuts: same rows, and no taken row behind what was said."""
    files = [rows for rows in files if any(at is not None for at, _ in rows)]
    if not files:
        files = [[(1, True)]]
    low, high = sorted(data.draw(st.tuples(st.integers(0, 13), st.integers(0, 13))))
    span = (OPEN_NS + low * 10**9, OPEN_NS + high * 10**9)
    with TemporaryDirectory() as folder:
        _write_disorder(Path(folder), files, group)
        catalog = Catalog.open(folder)
        whole = _all(catalog, TRADES, *span, 1000)
        expected = [
            (at, 10 * number + i)
            for number, rows in enumerate(files)
            for i, (at, _) in enumerate(rows)
            if at is None or low <= at < high
        ]
        prices = [float(p) for b in whole for p in b.items["v"][:, 0]]
        timed = [p for at, p in expected if at is not None]
        assert [p for p in prices if p in timed] == timed
        assert set(prices) <= {p for _, p in expected}
        for rows, part_rows in ((1, 9), (2, 9), (3, 9), (2, 2), (9, 1)):
            batches = _all(catalog, TRADES, *span, rows, part_rows)
            assert [float(p) for b in batches for p in b.items["v"][:, 0]] == prices
            _check_completeness(batches)


def _check_completeness(batches: list[Batch]) -> None:
    judge = RowJudge(StreamType.TRADE)
    through = -(2**63)
    for batch in batches:
        taken = batch.items[judge.judge(batch.items) == TAKEN]["release_ns"]
        assert not len(taken) or int(taken.min()) > through
        assert batch.complete_through_ns >= through
        through = batch.complete_through_ns
    assert through == END_NS


def test_a_stray_old_row_in_the_last_file_holds_nothing_back(tmp_path: Path) -> None:
    for day in range(3):
        write_day(tmp_path, "bars_1m", "AIG", day, bars(day))
    stray = bars(2, ts=stamps([*(OPEN_NS + 2 * DAY_NS + np.arange(19) * MINUTE_NS), OPEN_NS]))
    write_day(tmp_path, "bars_1m", "AIG", 2, stray)
    batches = _all(Catalog.open(str(tmp_path)), BARS, *ALWAYS, 20)
    _check_completeness(batches)
    assert batches[0].complete_through_ns >= OPEN_NS + 20 * MINUTE_NS - 1
    assert batches[1].complete_through_ns >= OPEN_NS + DAY_NS + 20 * MINUTE_NS - 1


# -- threads -------------------------------------------------------------------------------


def _watched(root: Path) -> tuple[WatchedFiles, ParquetCandleSource]:
    for day in range(2):
        write_day(root, "bars_1m", "AIG", day, bars(day))
    files, fs = WatchedFiles.make()
    catalog = Catalog.open(str(root), None, fs)
    return files, ParquetCandleSource(catalog, BARS, *ALWAYS, rows=20)


def test_the_loop_goes_on_while_a_file_is_read(tmp_path: Path) -> None:
    files, source = _watched(tmp_path)
    files.gate.clear()

    async def ping_pong(turns: int) -> int:
        balls: asyncio.Queue[int] = asyncio.Queue()
        back: asyncio.Queue[int] = asyncio.Queue()

        async def other() -> None:
            for _ in range(turns):
                await back.put(await balls.get() + 1)

        player = asyncio.create_task(other())
        ball = 0
        for _ in range(turns):
            await balls.put(ball)
            ball = await back.get()
        await player
        return ball

    async def run() -> tuple[int, bool, Batch]:
        reading = asyncio.create_task(anext(source))
        assert await asyncio.to_thread(files.waits.wait, 10)  # it stands in open()
        turns = await ping_pong(200)
        still_reading = not reading.done()
        files.gate.set()
        return turns, still_reading, await reading

    turns, still_reading, batch = asyncio.run(run())
    assert (turns, still_reading) == (200, True)
    assert len(batch.items) == 20


def test_a_read_that_is_cancelled_takes_nothing(tmp_path: Path) -> None:
    files, source = _watched(tmp_path)
    files.gate.clear()

    async def run() -> list[Batch]:
        reading: Any = asyncio.create_task(anext(source))
        assert await asyncio.to_thread(files.waits.wait, 10)
        reading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reading
        files.gate.set()
        return await collect(source)

    assert sum(len(b.items) for b in asyncio.run(run())) == 40


def test_a_read_that_failed_can_be_tried_again(tmp_path: Path) -> None:
    files, source = _watched(tmp_path)
    second = str(tmp_path / "bars_1m/symbol=AIG/date=2024-01-03.parquet")
    files.broken[second] = OSError("connection reset")

    async def run() -> list[Batch]:
        first = await anext(source)
        with pytest.raises(CatalogError, match="connection reset"):
            await anext(source)
        files.broken.clear()
        return [first, *await collect(source)]

    assert sum(len(b.items) for b in asyncio.run(run())) == 40


# -- memory --------------------------------------------------------------------------------


@pytest.mark.parametrize("layout", ["many files", "many row groups", "one row group"])
def test_memory_is_that_of_a_batch_not_of_a_stream(tmp_path: Path, layout: str) -> None:
    count, rows = 60, 2_000
    tables = [
        bars(rows=rows, ts=stamps(OPEN_NS + (n * rows + np.arange(rows)) * MINUTE_NS))
        for n in range(count)
    ]
    if layout == "many files":
        for n, table in enumerate(tables):
            write(tmp_path, f"bars_1m/symbol=AIG/{n}.parquet", table)
    else:
        whole = pa.concat_tables(tables)
        group_rows = rows if layout == "many row groups" else count * rows
        write(tmp_path, "bars_1m/symbol=AIG/all.parquet", whole, row_group_size=group_rows)
    catalog = Catalog.open(str(tmp_path))
    source = ParquetCandleSource(catalog, BARS, *ALWAYS, rows=rows, part_rows=rows)

    async def read() -> tuple[int, int]:
        seen, most = 0, 0
        async for batch in source:
            seen += len(batch.items)
            most = max(most, pa.total_allocated_bytes() - before)
        return seen, most

    before = pa.total_allocated_bytes()
    tracemalloc.start()
    try:
        seen, most_arrow = asyncio.run(read())
        most = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert seen == count * rows
    assert most < 8 * rows * 72 < seen * 72 / 5
    if layout != "one row group":  # while it is read all of it is there
        assert most_arrow < 8 * rows * 72
