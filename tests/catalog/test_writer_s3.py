"""Writing to a real S3 API."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import boto3
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from moto.server import ThreadedMotoServer

from app.catalog.importers import import_csv
from app.catalog.location import open_filesystem
from app.catalog.writer import DayWriter, write_table


@pytest.fixture(scope="module")
def bucket(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """URI of an empty bucket."""
    server = ThreadedMotoServer("127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    keys = {"aws_access_key_id": "test", "aws_secret_access_key": "test"}
    client = boto3.client(
        "s3", endpoint_url=f"http://{host}:{port}", region_name="us-east-1", **keys
    )
    client.create_bucket(Bucket="tapes")
    yield (
        f"s3://test:test@tapes/root?endpoint_override={host}%3A{port}&scheme=http&region=us-east-1"
    )
    client.close()
    server.stop()


def names(uri: str) -> list[str]:
    fs, root = open_filesystem(uri)
    found = fs.get_file_info(pa.fs.FileSelector(root, recursive=True, allow_not_found=True))
    return sorted(i.path[len(root) + 1 :] for i in found if i.type == pa.fs.FileType.File)


def fail_after(fs: pa.fs.FileSystem, path: str) -> None:
    with DayWriter(fs, path) as writer:
        writer.add(pa.table({"n": [2]}))
        raise ZeroDivisionError


def test_an_import_into_a_bucket(bucket: str, tmp_path: Path) -> None:
    source = tmp_path / "X.csv"
    source.write_text("ts,open,high,low,close,volume\n2024-03-08T14:30:00Z,1,2,1,2,100\n")
    for _ in range(2):
        import_csv(str(source), bucket)
        assert names(bucket) == ["bars_1m/symbol=X/date=2024-03-08.parquet"]
    fs, root = open_filesystem(bucket)
    found = pq.read_table(f"{root}/bars_1m/symbol=X/date=2024-03-08.parquet", filesystem=fs)
    assert found.column("volume").to_pylist() == [100]


def test_a_failure_leaves_nothing_in_the_bucket(bucket: str) -> None:
    fs, root = open_filesystem(bucket)
    write_table(fs, f"{root}/trades/x.parquet", pa.table({"n": [1]}))
    before = names(bucket)
    with pytest.raises(ZeroDivisionError):
        fail_after(fs, f"{root}/trades/x.parquet")
    assert names(bucket) == before
    found = pq.read_table(f"{root}/trades/x.parquet", filesystem=fs)
    assert found.column("n").to_pylist() == [1]
