"""Catalog files appear whole or not at all."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.fs as pafs
import pyarrow.parquet as pq
import pytest

from app.catalog.writer import (
    DayWriter,
    Folders,
    copy_file,
    list_files,
    write_table,
)
from app.errors import CatalogError

LOCAL = pafs.LocalFileSystem()


def numbers(count: int) -> pa.Table:
    return pa.table({"n": pa.array(range(count), pa.int64())})


def all_files(root: Path) -> list[str]:
    return sorted(str(p.relative_to(root)) for p in root.rglob("*") if p.is_file())


def fail_after(path: Path, *tables: pa.Table) -> None:
    with DayWriter(LOCAL, str(path)) as writer:
        for table in tables:
            writer.add(table)
        raise ZeroDivisionError


def test_a_table_is_written_with_its_metadata_in_bounded_row_groups(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b" / "x.parquet"
    write_table(LOCAL, str(path), numbers(150_000), {"source": "here", "zone": "UTC"})
    with pq.ParquetFile(path) as file:
        metadata = file.metadata
        assert [metadata.row_group(i).num_rows for i in range(3)] == [65_536, 65_536, 18_928]
        assert metadata.row_group(0).column(0).compression == "ZSTD"
        assert metadata.row_group(2).column(0).statistics.max == 149_999
        text = file.schema_arrow.metadata[b"tapedeck"]
    assert json.loads(text) == {"version": 1, "source": "here", "zone": "UTC"}
    assert pq.read_table(path).column("n").to_pylist() == list(range(150_000))


@pytest.mark.parametrize("chunk", [1_000, 65_536, 70_001])
def test_the_bytes_do_not_depend_on_the_chunks(tmp_path: Path, chunk: int) -> None:
    table = numbers(140_000)
    write_table(LOCAL, str(tmp_path / "whole.parquet"), table)
    with DayWriter(LOCAL, str(tmp_path / "chunks.parquet")) as writer:
        for at in range(0, table.num_rows, chunk):
            writer.add(table.slice(at, chunk))
    assert writer.rows == 140_000
    assert (tmp_path / "chunks.parquet").read_bytes() == (tmp_path / "whole.parquet").read_bytes()


def test_an_existing_file_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "x.parquet"
    write_table(LOCAL, str(path), numbers(5))
    write_table(LOCAL, str(path), numbers(2))
    assert pq.read_metadata(path).num_rows == 2
    assert all_files(tmp_path) == ["x.parquet"]


def test_an_error_within_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "x.parquet"
    write_table(LOCAL, str(path), numbers(5))
    with pytest.raises(ZeroDivisionError):
        fail_after(path, numbers(100_000))
    assert pq.read_metadata(path).num_rows == 5
    assert all_files(tmp_path) == ["x.parquet"]


def test_an_error_before_the_first_row_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError):
        fail_after(tmp_path / "x.parquet")
    assert all_files(tmp_path) == []


def test_a_failure_to_finish_removes_the_temporary_file(tmp_path: Path) -> None:
    (tmp_path / "x.parquet").mkdir()  # a file cannot be moved onto a folder
    with pytest.raises(CatalogError, match="cannot be written: Is a directory"):
        write_table(LOCAL, str(tmp_path / "x.parquet"), numbers(5))
    assert all_files(tmp_path) == []


def test_without_rows_added_no_file_is_written(tmp_path: Path) -> None:
    with DayWriter(LOCAL, str(tmp_path / "x.parquet")) as writer:
        pass
    assert writer.rows == 0
    assert all_files(tmp_path) == []


def test_an_empty_table_is_a_file_with_its_columns(tmp_path: Path) -> None:
    write_table(LOCAL, str(tmp_path / "x.parquet"), numbers(0))
    assert pq.read_table(tmp_path / "x.parquet").schema.names == ["n"]


def test_leftovers_of_the_same_file_are_removed_others_are_let_be(tmp_path: Path) -> None:
    (tmp_path / ".x.parquet.0011aabb.part").write_bytes(b"half")
    (tmp_path / ".y.parquet.0011aabb.part").write_bytes(b"half")
    write_table(LOCAL, str(tmp_path / "x.parquet"), numbers(1))
    assert all_files(tmp_path) == [".y.parquet.0011aabb.part", "x.parquet"]


def test_a_folder_is_listed_once(tmp_path: Path) -> None:
    folders = Folders(LOCAL)
    first = folders.prepare(str(tmp_path / "d" / "x.parquet"))
    (tmp_path / "d" / ".x.parquet.0011aabb.part").write_bytes(b"half")
    second = folders.prepare(str(tmp_path / "d" / "x.parquet"))
    assert first != second
    assert all_files(tmp_path / "d") == [".x.parquet.0011aabb.part"]


def test_a_copy_is_whole_and_replaces(tmp_path: Path) -> None:
    (tmp_path / "from").write_bytes(b"new")
    (tmp_path / "to").write_bytes(b"old")
    copy_file(LOCAL, str(tmp_path / "from"), LOCAL, str(tmp_path / "to"))
    assert (tmp_path / "to").read_bytes() == b"new"
    (tmp_path / "folder").mkdir()
    with pytest.raises(CatalogError, match="cannot be written: Is a directory"):
        copy_file(LOCAL, str(tmp_path / "from"), LOCAL, str(tmp_path / "folder"))
    assert all_files(tmp_path) == ["from", "to"]


def test_files_are_listed_by_path_without_hidden_ones(tmp_path: Path) -> None:
    for name in ("b.csv", "a/c.CSV", ".h/d.csv", ".e.csv", "f.txt"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text("x")
    found = list_files(LOCAL, str(tmp_path), (".csv",))
    assert [Path(p).relative_to(tmp_path).as_posix() for p in found] == ["a/c.CSV", "b.csv"]
    single = str(tmp_path / "f.txt")
    assert list_files(LOCAL, single, (".csv",)) == [single]
    with pytest.raises(CatalogError, match="absent is not there"):
        list_files(LOCAL, str(tmp_path / "absent"), (".csv",))
