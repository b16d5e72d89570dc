"""Catalogs made for tests: tables of the three datasets, and a file system that is watched."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.fs as pafs
import pyarrow.parquet as pq

from app.catalog.layout import day_path
from app.catalog.store import Catalog
from app.model import Dictionary, Items
from app.times import DAY_NS, MINUTE_NS, format_time, parse_time_ns

DAYS = (date(2024, 1, 2), date(2024, 1, 3), date(2024, 1, 4))
OPEN_NS = parse_time_ns("2024-01-02T14:30:00Z")


def stamps(ns: Any, unit: str = "ns") -> pa.Array:
    return pa.array(ns, pa.int64()).cast(pa.timestamp("ns", "UTC")).cast(pa.timestamp(unit, "UTC"))


def bars(day: int = 0, rows: int = 20, seed: int = 0, **columns: Any) -> pa.Table:
    """``rows`` minutes from the open of ``DAYS[day]``; ``columns`` replace or add some."""
    rng = np.random.default_rng([seed, day])
    close = np.round(50 + np.cumsum(rng.normal(0, 0.1, rows)), 2)
    made = {
        "ts": stamps(OPEN_NS + day * DAY_NS + np.arange(rows) * MINUTE_NS),
        "open": close,
        "high": close + 0.5,
        "low": close - 0.5,
        "close": close,
        "volume": rng.integers(1, 1000, rows),
        "vwap": pa.array([None] * rows, pa.float64()),
    }
    return pa.table(made | columns)


def trades(day: int = 0, rows: int = 50, seed: int = 0, **columns: Any) -> pa.Table:
    """Trades of the first minutes of a day, several at one time."""
    rng = np.random.default_rng([seed, day, 1])
    offsets = np.sort(rng.integers(0, 20, rows)) * 1_000_000_000
    made = {
        "ts": stamps(OPEN_NS + day * DAY_NS + offsets),
        "price": np.round(50 + rng.normal(0, 0.1, rows), 2),
        "size": rng.integers(1, 500, rows),
        "exchange": rng.choice(["N", "Q", "P"], rows),
        "conditions": rng.choice(["", "I", "T"], rows),
        "suspicious": rng.random(rows) < 0.1,
    }
    return pa.table(made | columns)


def quotes(day: int = 0, rows: int = 50, seed: int = 0, **columns: Any) -> pa.Table:
    rng = np.random.default_rng([seed, day, 2])
    offsets = np.sort(rng.integers(0, 20, rows)) * 1_000_000_000
    bid = np.round(50 + rng.normal(0, 0.1, rows), 2)
    made = {
        "ts": stamps(OPEN_NS + day * DAY_NS + offsets),
        "bid": bid,
        "bid_size": rng.integers(1, 500, rows),
        "ask": bid + 0.01,
        "ask_size": rng.integers(1, 500, rows),
        "exchange": rng.choice(["N", "Q", "P"], rows),
        "side": rng.choice(["A", "B"], rows),
    }
    return pa.table(made | columns)


def write(root: Path, relative: str, table: pa.Table, **options: Any) -> Path:
    path = root / relative
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, path, **options)
    return path


def write_day(root: Path, dataset: str, symbol: str, day: int, table: pa.Table, **o: Any) -> Path:
    return write(root, day_path(dataset, symbol, DAYS[day]), table, **o)


def with_symbol(table: pa.Table, symbol: str) -> pa.Table:
    return table.append_column("symbol", pa.array([symbol] * table.num_rows, pa.string()))


def rows_of(catalog: Catalog, dataset: str, symbol: str) -> tuple[Items, list[dict[str, Any]]]:
    """All rows of a stream as they are read, and their texts in place of their codes."""
    words = Dictionary()
    pieces = catalog.pieces(dataset, symbol)
    items: Items = np.concatenate([catalog.read(piece, words)[0] for piece in pieces])
    named = []
    for item in items:
        values = [float(v) for v in item["v"]]
        text_at = {"trades": (2, 3), "quotes": (4, 5)}.get(dataset, ())
        texts = [words.look_up(np.array([values[i]]))[0] for i in text_at]
        numbers = [v if v == v else None for i, v in enumerate(values) if i not in text_at]
        named.append(
            {"release": int(item["release_ns"]), "flags": int(item["flags"]), "n": numbers}
            | {"texts": texts}
        )
    return items, named


def imported(folder: Path, relative: str) -> pa.Table:
    """A file of the catalog that was written to ``out``."""
    return pq.read_table(folder / "out" / relative, partitioning=None)


def times(found: pa.Table) -> list[str]:
    return [format_time(t) for t in found.column("ts").cast(pa.int64()).to_pylist()]


def files(root: Path) -> dict[str, bytes]:
    return {str(p.relative_to(root)): p.read_bytes() for p in root.rglob("*") if p.is_file()}


class WatchedFiles(pafs.FileSystemHandler):  # type: ignore[misc]
    """The local files, every opening recorded.

    ``gate`` holds up openings while it is not set; what is in ``broken`` fails to open, and
    ``lost`` makes every look at names, sizes and times fail.
    """

    def __init__(self) -> None:
        self._local = pafs.LocalFileSystem()
        self.opened: list[str] = []
        self.gate = threading.Event()
        self.gate.set()
        self.waits = threading.Event()
        self.broken: dict[str, OSError] = {}
        self.lost: OSError | None = None

    @classmethod
    def make(cls) -> tuple[WatchedFiles, pafs.PyFileSystem]:
        handler = cls()
        return handler, pafs.PyFileSystem(handler)

    def open_input_file(self, path: str) -> Any:
        self.opened.append(path)
        if path in self.broken:
            raise self.broken[path]
        if not self.gate.is_set():
            self.waits.set()
            assert self.gate.wait(30)
        return self._local.open_input_file(path)

    def open_input_stream(self, path: str) -> Any:
        return self.open_input_file(path)

    def get_type_name(self) -> str:
        return "watched"

    def get_file_info(self, paths: Sequence[str]) -> Any:
        if self.lost is not None:
            raise self.lost
        return self._local.get_file_info(paths)

    def get_file_info_selector(self, selector: pafs.FileSelector) -> Any:
        return self._local.get_file_info(selector)

    def normalize_path(self, path: str) -> str:
        return path

    def _refuse(self, *_: Any) -> Any:
        raise AssertionError("reading a catalog never changes it")

    create_dir = delete_dir = delete_dir_contents = delete_root_dir_contents = _refuse
    delete_file = move = copy_file = open_output_stream = open_append_stream = _refuse
