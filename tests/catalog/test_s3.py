"""A catalog in a bucket, read through a real S3 API on the loopback."""

from __future__ import annotations

import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import boto3
import pyarrow as pa
import pytest
from moto.server import ThreadedMotoServer

from app.catalog.location import open_filesystem, redact_uri
from app.catalog.store import Catalog
from app.errors import CatalogChangedError, CatalogError
from app.managers.system_manager import SessionConfig, SessionDefaults, State, SystemManager
from app.model import Dictionary
from tests.catalog.made import bars, quotes, rows_of, trades, with_symbol, write, write_day

KEY, SECRET = "AKIATESTKEY", "s3cr3t/with+slash="
QUOTED = quote(SECRET, safe="")


class Store:
    """A running S3 server, a client that fills it, and addresses in it."""

    def __init__(self) -> None:
        self._server = ThreadedMotoServer("127.0.0.1", port=0, verbose=False)
        self._server.start()
        self.port = self._server.get_host_and_port()[1]
        self.client = boto3.client(
            "s3",
            endpoint_url=f"http://127.0.0.1:{self.port}",
            region_name="us-east-1",
            aws_access_key_id=KEY,
            aws_secret_access_key=SECRET,
        )

    def uri(self, path: str, user: str = f"{KEY}:{QUOTED}@") -> str:
        endpoint = quote(f"http://127.0.0.1:{self.port}", safe="")
        return f"s3://{user}{path}?endpoint_override={endpoint}&region=us-east-1"

    def fill(self, bucket: str, prefix: str, folder: Path) -> None:
        self.client.create_bucket(Bucket=bucket)
        for path in sorted(folder.rglob("*.parquet")):
            self.put(bucket, f"{prefix}/{path.relative_to(folder)}", path)

    def put(self, bucket: str, key: str, path: Path) -> None:
        self.client.put_object(Bucket=bucket, Key=key, Body=path.read_bytes())

    def close(self) -> None:
        self.client.close()
        self._server.stop()


@pytest.fixture(scope="module")
def store() -> Iterator[Store]:
    running = Store()
    yield running
    running.close()


@pytest.fixture
def local(tmp_path: Path) -> Path:
    """Bars of two symbols, one of them with a slash, and ticks of one, over three days."""
    folder = tmp_path / "local"
    for day in range(3):
        write_day(folder, "bars_1m", "AIG", day, bars(day, 390))
        write_day(folder, "bars_1m", "BRK/B", day, bars(day, 390, seed=1))
    write_day(folder, "trades", "AIG", 1, trades(1, 400))
    write_day(folder, "quotes", "AIG", 1, quotes(1, 400))
    return folder


def test_a_bucket_reads_as_a_folder_does(store: Store, local: Path) -> None:
    tables = [with_symbol(bars(rows=30, seed=n), f"M{n}") for n in range(3)]
    write(local, "bars_1m/many.parquet", pa.concat_tables(tables),
          row_group_size=20)  # fmt: skip
    store.fill("reads", "some/prefix", local)
    there, here = Catalog.open(store.uri("reads/some/prefix")), Catalog.open(str(local))
    assert there.symbols == here.symbols == ["AIG", "BRK/B", "M0", "M1", "M2"]
    assert there.summary() == here.summary()
    for symbol in here.symbols:
        for dataset in here.datasets(symbol):
            assert rows_of(there, dataset, symbol)[1] == rows_of(here, dataset, symbol)[1]


def test_credentials_of_the_environment(
    store: Store, local: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.fill("environment", "data", local)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", KEY)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    assert Catalog.open(store.uri("environment/data", user="")).symbols == ["AIG", "BRK/B"]


def test_the_index_of_a_bucket_is_kept_and_renewed(
    store: Store, local: Path, tmp_path: Path
) -> None:
    store.fill("kept", "data", local)
    uri, cache = store.uri("kept/data"), tmp_path / "cache"
    Catalog.open(uri, cache)
    (kept,) = cache.iterdir()
    first = kept.read_bytes()
    assert SECRET.encode() not in first
    Catalog.open(uri, cache)
    assert kept.read_bytes() == first
    longer = write_day(tmp_path / "new", "bars_1m", "AIG", 0, bars(0, 500))
    store.put("kept", "data/bars_1m/symbol=AIG/date=2024-01-02.parquet", longer)
    assert Catalog.open(uri, cache).summary()["AIG"]["bars_1m"].rows == 500 + 2 * 390


def test_objects_that_change_or_vanish_are_told(store: Store, local: Path, tmp_path: Path) -> None:
    store.fill("changes", "data", local)
    catalog = Catalog.open(store.uri("changes/data"))
    first, second, _ = catalog.pieces("bars_1m", "AIG")
    longer = write_day(tmp_path / "new", "bars_1m", "AIG", 0, bars(0, 500))
    store.put("changes", f"data/{first.path}", longer)
    store.client.delete_object(Bucket="changes", Key=f"data/{second.path}")
    with pytest.raises(CatalogChangedError, match=r"date=2024-01-02\.parquet.*was changed"):
        catalog.read(first, Dictionary())
    with pytest.raises(CatalogChangedError, match=r"date=2024-01-03\.parquet.*was removed"):
        catalog.read(second, Dictionary())


def test_a_broken_object_is_named(store: Store, local: Path) -> None:
    (local / "bars_1m/symbol=AIG/date=2024-01-03.parquet").write_bytes(b"PAR1 not")
    store.fill("broken", "data", local)
    catalog = Catalog.open(store.uri("broken/data"))
    (sentence,) = catalog.broken_files
    assert sentence.startswith("broken/data/bars_1m/symbol=AIG/date=2024-01-03.parquet: ")
    assert SECRET not in sentence


def _whole_text(error: BaseException) -> str:
    return "".join(traceback.format_exception(error))


@pytest.mark.parametrize("path", ["no-such-bucket", "no-such-bucket/data", "empty/nothing"])
def test_a_missing_bucket_or_prefix_is_said_without_the_key(store: Store, path: str) -> None:
    store.client.create_bucket(Bucket="empty")
    with pytest.raises(CatalogError) as caught:
        Catalog.open(store.uri(path))
    assert path in str(caught.value)
    for secret in (SECRET, QUOTED):
        assert secret not in _whole_text(caught.value)


@pytest.mark.parametrize(
    "uri",
    [
        f"s3://{KEY}:{SECRET}@bucket/data?region=us-east-1",  # the slash is not encoded
        f"s3://{KEY}:{QUOTED}@bucket/data?regoin=us-east-1",
        f"s3://{KEY}:{QUOTED}@buck et/data",
        f"s3://bucket/data?access_key={KEY}&secret_key={QUOTED}",
        f"gs://bucket/data?access_token={QUOTED}",
        f"nothing://{KEY}:{QUOTED}@host/data",
    ],
)
def test_an_address_that_cannot_be_opened_is_said_without_the_key(uri: str) -> None:
    with pytest.raises(CatalogError, match="cannot be opened") as caught:
        open_filesystem(uri)
    text = _whole_text(caught.value)
    for secret in (SECRET, QUOTED, "with+slash", "with%2Bslash"):
        assert secret not in text


@pytest.mark.parametrize(
    ("uri", "shown"),
    [
        ("/data/catalog", "/data/catalog"),
        ("a@b/c?d", "a@b/c?d"),
        ("file:///data/x", "file:///data/x"),
        ("s3://bucket/a@b", "s3://bucket/a@b"),
        ("s3://k:s@bucket/p", "s3://***@bucket/p"),
        ("s3://k:s/t@bucket/p", "s3://***@bucket/p"),
        ("s3://k@bucket/p?region=eu&x=1", "s3://***@bucket/p?region=eu&x=***"),
        ("s3://b?endpoint_override=h%3A1&token=t&", "s3://b?endpoint_override=h%3A1&token=***&=***"),
    ],
)  # fmt: skip
def test_addresses_are_shown_without_what_is_secret(uri: str, shown: str) -> None:
    assert redact_uri(uri) == shown


def test_a_catalog_never_shows_its_key(store: Store, local: Path) -> None:
    store.fill("shown", "data", local)
    catalog = Catalog.open(store.uri("shown/data"))
    assert SECRET not in catalog.uri
    assert QUOTED not in catalog.uri
    assert catalog.uri.startswith("s3://***@shown/data?endpoint_override=")
    assert catalog.root == "shown/data"


def _digest(uri: str, cache: Path) -> tuple[str, int]:
    manager = SystemManager(uri, SessionDefaults(speed=0), cache)
    try:
        session = manager.start_session(SessionConfig(["*"], "2024-01-02", "2024-01-04"))
        assert session.wait(60)
        status = session.status()
        assert status.state is State.COMPLETED, status.error
        return status.digest, status.progress.items_delivered
    finally:
        manager.close()


def test_a_session_over_a_bucket_has_the_digest_of_the_same_files_on_disk(
    store: Store, local: Path, tmp_path: Path
) -> None:
    store.fill("session", "data", local)
    there: Any = _digest(store.uri("session/data"), tmp_path / "cache")
    here: Any = _digest(str(local), tmp_path / "cache")
    assert there == here
    assert here[1] > 6 * 390
