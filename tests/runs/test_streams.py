"""Streams that were cut short, wherever, and Parquet files that are half made."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from app.errors import NotFoundError, RunError
from app.runs.streams import StreamFile, read_batches, read_stream, read_table, seal
from app.runs.tables import EQUITY, TABLES, batch_of_rows
from app.runs.writer import AuditWriter
from tests.runs.made import SmallRun


def rows(first: int, count: int) -> Any:
    return batch_of_rows(EQUITY, [(n, 1.0, 2.0, 3.0, 4.0) for n in range(first, first + count)])


def stream_of(folder: Path, *batches: Any, close: bool = False) -> Path:
    """A stream of the equity curve, left as a killed process leaves it."""
    file = StreamFile(folder, "equity")
    for batch in batches:
        file.write(batch)
    if close:
        file.close()
    return file.path


def test_what_was_written_can_be_read_while_it_is_written(tmp_path: Path) -> None:
    file = StreamFile(tmp_path, "equity")
    assert read_table(tmp_path, "equity").num_rows == 0
    for count in (3, 0, 2):
        file.write(rows(0, count))
    assert [b.num_rows for b in read_batches(tmp_path, "equity")] == [0, 3, 2]
    assert read_table(tmp_path, "equity").num_rows == 5
    file.close()
    assert read_table(tmp_path, "equity").num_rows == 5


def test_other_programs_can_open_a_stream_from_its_beginning(tmp_path: Path) -> None:
    for table, schema in TABLES.items():
        StreamFile(tmp_path, table)
        with pa.ipc.open_stream(str(tmp_path / f"{table}.arrows")) as reader:
            assert reader.schema.equals(schema, check_metadata=True)


@pytest.mark.parametrize("close", [False, True])
def test_a_stream_torn_at_any_byte_keeps_all_whole_batches(tmp_path: Path, close: bool) -> None:
    first, second = rows(0, 3), rows(3, 2)
    start = stream_of(tmp_path).stat().st_size
    middle = stream_of(tmp_path, first).stat().st_size
    end = stream_of(tmp_path, first, second).stat().st_size
    path = stream_of(tmp_path, first, second, close=close)
    whole = path.read_bytes()
    assert 0 < start < middle < end <= len(whole)
    for size in range(len(whole) + 1):
        path.write_bytes(whole[:size])
        read = sum(batch.num_rows for batch in read_stream(path))
        assert read == (5 if size >= end else 3 if size >= middle else 0), size


def test_a_torn_stream_is_sealed_up_to_its_last_whole_batch(tmp_path: Path) -> None:
    path = stream_of(tmp_path, rows(0, 3), rows(3, 2))
    path.write_bytes(path.read_bytes()[:-1])
    seal(tmp_path)
    assert not path.exists()
    assert pq.read_table(tmp_path / "equity.parquet").num_rows == 3


def test_a_stream_broken_before_its_end_is_an_error(tmp_path: Path) -> None:
    path = stream_of(tmp_path, rows(0, 3), rows(3, 2))
    whole = bytearray(path.read_bytes())
    at = len(stream_of(tmp_path, rows(0, 3)).read_bytes())
    whole[at + 8 : at + 40] = b"\xff" * 32
    path.write_bytes(whole)
    with pytest.raises(RunError, match=r"equity\.arrows: broken at byte"):
        list(read_stream(path))


def test_sealing_that_was_cut_short_goes_on(tmp_path: Path) -> None:
    writer = AuditWriter(tmp_path)
    SmallRun(writer).play()
    writer.flush()
    before = {table: read_table(tmp_path, table) for table in TABLES}
    (tmp_path / ".events.parquet.new").write_bytes(b"PAR1 half of it")
    seal(tmp_path)
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted(f"{t}.parquet" for t in TABLES)
    for table, rows_before in before.items():
        assert read_table(tmp_path, table).equals(rows_before)
        assert rows_before.num_rows


def test_both_there_the_finished_file_counts(tmp_path: Path) -> None:
    stream = stream_of(tmp_path, rows(0, 3), close=True)
    kept = stream.read_bytes()
    seal(tmp_path)
    stream.write_bytes(kept[:-40])
    assert read_table(tmp_path, "equity").num_rows == 3


def test_orders_stand_as_they_were_last(tmp_path: Path) -> None:
    writer = AuditWriter(tmp_path, flush_s=0)
    SmallRun(writer).play_day(0)
    table = read_table(tmp_path, "orders")
    assert table["number"].to_pylist() == [1, 2, 3, 4]
    assert table["state"].to_pylist() == ["filled", "filled", "rejected", "filled"]


def test_tables_that_are_not_there(tmp_path: Path) -> None:
    assert read_table(tmp_path, "fills").num_rows == 0
    with pytest.raises(NotFoundError, match="no table 'trades'; there are: events, orders"):
        list(read_batches(tmp_path, "trades"))
    (tmp_path / "fills.parquet").write_bytes(b"PAR1 this is not Parquet")
    with pytest.raises(RunError, match=r"fills\.parquet: cannot be read"):
        read_table(tmp_path, "fills")


def test_a_disk_that_takes_no_more(tmp_path: Path) -> None:
    stream_of(tmp_path, rows(0, 3), close=True)
    (tmp_path / ".equity.parquet.new").mkdir()
    with pytest.raises(RunError, match=r"equity\.parquet: cannot be written: Is a directory"):
        seal(tmp_path)
    assert read_table(tmp_path, "equity").num_rows == 3
