"""Generated garbage for importers and the WebSocket: an error that says why, or rows counted; no
crash, no hang, and nobody else feels it."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import httpx
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from websockets.exceptions import ConnectionClosed

from app.catalog.importers import ImportReport, import_csv, import_lean, import_parquet
from app.errors import TapedeckError
from tests.api.conftest import Fake
from tests.api.talk import close_of, talk

budget = settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))

# -- importers -------------------------------------------------------------------------------

ODD = [
    "2024-03-08T14:30:00Z", "2024-03-10T02:30:00", "1709908200", "1", "-1", "0", "1e308", "1e-320",
    "99999999999999999999", "nan", "inf", "", " ", '"', '""', "true", "\x00", "ABC", "../x",
]  # fmt: skip
CELLS = st.one_of(
    st.sampled_from(ODD), st.text(max_size=8), st.integers().map(str), st.floats().map(str)
)
NAMES = ["ts", "open", "high", "low", "close", "volume", "symbol", "price", "size", ""]
HEADERS = st.lists(st.sampled_from(NAMES), max_size=9)
LINES = st.lists(st.lists(CELLS, max_size=9).map(",".join), max_size=12)
TIMES = st.integers(0, 59).map(lambda minute: f"2024-03-08T14:{minute:02}:00Z")
NUMBERS = st.sampled_from(["1", "2.5", "0", "-1", "nan", "", "1e308"])


def rows(first: st.SearchStrategy[str], width: int) -> st.SearchStrategy[list[str]]:
    """Lines of a right width, nearly right otherwise."""
    line = st.tuples(first, *[NUMBERS] * (width - 1)) | st.tuples(*[CELLS] * width)
    return st.lists(line.map(",".join), min_size=1, max_size=12)


BAR_HEAD = "ts,open,high,low,close,volume"
CSV = st.one_of(
    st.builds(lambda head, lines: "\n".join([",".join(head), *lines]).encode(), HEADERS, LINES),
    (rows(TIMES, 6) | LINES).map(lambda lines: "\n".join([BAR_HEAD, *lines]).encode()),
    st.binary(max_size=300),
)  # fmt: skip
OPTIONS = st.just(dict[str, Any]()) | st.fixed_dictionaries(
    {},
    optional={
        "dataset": st.sampled_from(["bars_1m", "trades", "quotes", "none"]),
        "time_format": st.sampled_from(["rfc3339", "iso", "s", "ms", "ns", "%Y%m%d", "%Q", ""]),
        "time_zone": st.sampled_from(["UTC", "Asia/Tokyo", "Mars/Base", "../etc"]),
        "stamped": st.sampled_from(["start", "end", "middle"]),
        "symbol": st.sampled_from(["ABC", "", "A/B", "../../x", "\x00", "x" * 300]),
        "columns": st.dictionaries(
            st.sampled_from(["ts", "open", "price", "nothing"]), st.text(max_size=5), max_size=2
        ),
    },
)


def check(run: Callable[[], ImportReport], folder: Path) -> None:
    """Every row is accounted for, or the error is one of ours; nothing lies outside."""
    with suppress(TapedeckError):
        report = run()
        assert report.rows_read == report.rows_written + report.rejected.total
        for path in (folder / "out").rglob("*.parquet"):
            assert pq.read_metadata(path).num_rows > 0
    assert {path.name for path in folder.iterdir()} <= {"in", "out"}


@pytest.fixture(scope="module")
def folder() -> Iterator[Callable[[str, bytes], Path]]:
    """``folder(name, content)``: an empty folder but for one file in ``in``."""
    with TemporaryDirectory() as root:
        numbers = iter(range(10_000))

        def make(name: str, content: bytes) -> Path:
            found = Path(root) / str(next(numbers))
            path = found / "in" / name
            path.parent.mkdir(parents=True)
            path.write_bytes(content)
            return found

        yield make


@budget
@given(content=CSV, options=OPTIONS, name=st.sampled_from(["ABC.csv"] * 4 + ["x.csv.gz", "y.zip"]))
def test_csv_files(
    folder: Callable[[str, bytes], Path], content: bytes, options: dict[str, Any], name: str
) -> None:
    root = folder(name, content)
    check(lambda: import_csv(str(root / "in"), str(root / "out"), **options), root)


BARS = {
    "ts": pa.array([1709908200 * 10**9 + 60 * 10**9 * n for n in range(3)]),
    **{name: pa.array([1.0, 2.0, 3.0]) for name in ("open", "high", "low", "close", "volume")},
}  # fmt: skip
COLUMN = st.one_of(
    st.lists(st.none() | st.integers(-(2**63), 2**63 - 1), min_size=3, max_size=3).map(
        lambda v: pa.array(v, pa.int64())
    ),
    st.lists(st.none() | st.floats(), min_size=3, max_size=3).map(
        lambda v: pa.array(v, pa.float64())
    ),
    st.lists(st.none() | CELLS, min_size=3, max_size=3).map(pa.array),
    st.lists(st.integers(-(2**63), 2**63 - 1), min_size=3, max_size=3).map(
        lambda v: pa.array(v, pa.timestamp("ns"))
    ),
    st.just(pa.array([{"a": 1}, None, {"a": 2}])), st.just(pa.array([[1], [], None])),
    st.just(pa.nulls(3)), st.just(pa.array([b"x", b"\xff", None])),
    st.just(pa.array([True, False, None])),
)  # fmt: skip


@budget
@given(
    columns=st.dictionaries(
        st.sampled_from(["ts", "open", "high", "low", "close", "volume", "price", "size", "bid"]),
        COLUMN, max_size=3,
    ),
    without=st.sets(st.sampled_from(sorted(BARS)), max_size=1),
    options=OPTIONS,
)  # fmt: skip
def test_parquet_files_of_any_types(
    folder: Callable[[str, bytes], Path], columns: dict[str, Any], without: set[str],
    options: dict[str, Any],
) -> None:  # fmt: skip
    data = io.BytesIO()
    kept = {name: column for name, column in BARS.items() if name not in without}
    pq.write_table(pa.table(kept | columns), data)
    root = folder("ABC.parquet", data.getvalue())
    check(lambda: import_parquet(str(root / "in"), str(root / "out"), **options), root)


@budget
@given(
    cut=st.just(1.0) | st.floats(0, 1),
    flips=st.lists(st.tuples(st.floats(0, 0.999), st.integers(1, 255)), max_size=3),
)
def test_parquet_files_that_were_damaged(
    folder: Callable[[str, bytes], Path], cut: float, flips: list[tuple[float, int]]
) -> None:
    data = io.BytesIO()
    pq.write_table(pa.table(BARS), data)
    content = bytearray(data.getvalue())
    for place, bits in flips:
        content[int(place * len(content))] ^= bits
    root = folder("ABC.parquet", bytes(content[: int(cut * len(content)) + 1]))
    check(lambda: import_parquet(str(root / "in"), str(root / "out")), root)


MILLISECONDS = st.integers(0, 59).map(lambda minute: str(34_200_000 + 60_000 * minute))
LEAN_ROWS = rows(MILLISECONDS, 6) | rows(MILLISECONDS, 11) | rows(st.just("20240308 00:00"), 6)


def zipped(lines: list[str]) -> bytes:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        archive.writestr("x.csv", "\n".join(lines))
    return data.getvalue()


LEAN = st.sampled_from(
    [
        "minute/abc/20240308_trade.zip", "minute/abc/20240308_quote.zip", "daily/abc.zip",
        "tick/abc/20240308_trade.zip", "tick/abc/20240308_quote.zip", "factor_files/abc.csv",
        "minute/abc/x.zip",
    ]
)  # fmt: skip


@budget
@given(name=LEAN, lines=LEAN_ROWS | LINES, damage=st.none() | st.floats(0, 1))
def test_lean_files(
    folder: Callable[[str, bytes], Path], name: str, lines: list[str], damage: float | None
) -> None:
    content = zipped(lines) if name.endswith(".zip") else "\n".join(lines).encode()
    if damage is not None:
        content = content[: int(len(content) * damage)]
    root = folder(f"equity/usa/{name}", content)
    check(lambda: import_lean(str(root / "in"), str(root / "out")), root)


# -- the WebSocket ---------------------------------------------------------------------------

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=8,
)
NEARLY = st.fixed_dictionaries(
    {"action": st.sampled_from(["subscribe", "resume"])},
    optional={
        "channels": st.lists(st.sampled_from(["bars_1m", "status", "bars_7m", "x"])) | JSON,
        "symbols": st.lists(st.sampled_from(["A", "B", "*", "Z"])) | JSON,
        "delivery": st.sampled_from(["lossless", "conflate", "both"]) | JSON,
        "interval_ms": st.integers(-5, 10**9) | JSON,
        "epoch": st.integers(-2, 3) | JSON,
        "after": st.integers(-2, 5) | JSON,
        "session": st.sampled_from(["fake1", "s1"]) | JSON,
    },
)
MESSAGES = st.one_of(
    NEARLY.map(json.dumps), JSON.map(json.dumps), st.text(max_size=60), st.binary(max_size=60)
)


@pytest.fixture(scope="module")
def playing() -> Iterator[Fake]:
    one = Fake()
    one.start()
    yield one
    one.close()


@pytest.mark.parametrize("encoding", ["json", "msgpack"])
@settings(max_examples=80, deadline=None, suppress_health_check=list(HealthCheck))
@given(messages=st.lists(MESSAGES, min_size=1, max_size=4))
def test_stream_messages(playing: Fake, encoding: str, messages: list[str | bytes]) -> None:
    with talk(playing.url, f"?encoding={encoding}") as one:
        with suppress(ConnectionClosed):  # it may have had enough before the last one
            for message in [*messages, "the last one, which is no JSON"]:
                one.send(message)
        _, code, reason = close_of(one)
    assert code in (1003, 1008)
    assert reason
    assert httpx.get(playing.url + "/health", timeout=60).status_code == 200
