"""Damaged Parquet and Arrow files, wherever they are opened: an error of ours that names the file.

A flipped byte of a name, a zone or a text makes pyarrow raise other errors than one of a page.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from shutil import rmtree
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from app.catalog.build import build_catalog
from app.catalog.doctor import diagnose
from app.catalog.importers import import_parquet
from app.catalog.layout import side_path
from app.catalog.store import Catalog, daily_closes
from app.errors import CatalogError, RunError
from app.managers.system_manager.market import corporate_actions, halts
from app.model import Dictionary
from app.runs.report import files as report_files
from app.runs.streams import read_table, seal
from app.runs.tables import TABLES
from app.runs.writer import AuditWriter
from tests.catalog.made import DAYS, OPEN_NS, stamps, trades
from tests.runs.made import SmallRun

WORDS = re.compile(rb"[A-Za-z_]{3,}")
Read = Callable[[Path], Any]

STRIDE = 97  # of the other bytes one in so many: all of them were tried by hand

FILES = {
    "trades/all.parquet": trades(rows=6, symbol=["ABC"] * 3 + ["DEF"] * 3, conditions=["xyz"] * 6),
    "trades/symbol=ABC/date=2024-01-02.parquet": trades(rows=6, auction=["open"] + [None] * 5),
    side_path("daily", "ABC"): pa.table({"date": DAYS[:1], "close": [1.0]}),
    side_path("corporate_actions", "ABC"): pa.table(
        {"date": DAYS[:2], "type": ["split", "dividend"], "ratio": [2.0, None],
         "amount": [None, 0.5]}
    ),
    side_path("halts", "ABC"): pa.table(
        {"start": stamps([OPEN_NS]), "end": stamps([OPEN_NS + 1]), "reason": ["news"]}
    ),
}  # fmt: skip


def damaged(content: bytes, bits: int = 0x80) -> Iterator[bytes]:
    """The content with one byte flipped: the first of each word in turn, and some others."""
    places = {word.start() for word in WORDS.finditer(content)}
    for at in sorted(places | set(range(0, len(content), STRIDE))):
        yield content[:at] + bytes([content[at] ^ bits]) + content[at + 1 :]


def refusal(read: Read, folder: Path) -> str:
    """What a reader says against a file; empty where it takes it."""
    try:
        read(folder)
    except (CatalogError, RunError) as error:
        return str(error)
    return ""


def read_all(root: Path) -> None:
    catalog = Catalog.open(str(root))
    for symbol in catalog.symbols:
        for dataset in catalog.datasets(symbol):
            for piece in catalog.pieces(dataset, symbol):
                catalog.read(piece, Dictionary())
    catalog.check_files(("bars_1m", "trades", "quotes"), None)


def build(root: Path) -> None:
    try:
        build_catalog(str(root), str(root.parent / "built"))
    finally:
        rmtree(root.parent / "built", ignore_errors=True)


def bring(root: Path) -> None:
    try:
        import_parquet(str(root / "trades"), str(root.parent / "brought"), dataset="trades")
    finally:
        rmtree(root.parent / "brought", ignore_errors=True)


SIDES: dict[str, Read] = {
    "daily": lambda root: daily_closes(Catalog.open(str(root)), "ABC"),
    "corporate_actions": lambda root: corporate_actions(Catalog.open(str(root)), ["ABC"], DAYS[-1]),
    "halts": lambda root: halts(Catalog.open(str(root)), ["ABC"]),
}


@pytest.mark.parametrize("path", FILES)
def test_files_of_a_catalog(tmp_path: Path, path: str) -> None:
    root, kind = tmp_path / "catalog", path.split("/")[0]
    reads: list[Read] = [SIDES[kind]] if kind in SIDES else [read_all, build, bring]
    target = root / path
    target.parent.mkdir(parents=True)
    pq.write_table(FILES[path], target)
    for read in reads:
        read(root)  # whole, it can be read
    said = []
    for number, content in enumerate(damaged(target.read_bytes())):
        target.write_bytes(content)
        said += [refusal(read, root) for read in reads]
        if number % 10 == 0:
            diagnose(str(root))
    assert all(target.name in sentence for sentence in said if sentence)
    assert sum(map(bool, said)) > len(reads)


def test_a_name_that_is_no_text(tmp_path: Path) -> None:
    """What pyarrow meets with a UnicodeDecodeError, found by chance."""
    target = tmp_path / "trades" / "symbol=ABC.parquet"
    target.parent.mkdir()
    pq.write_table(trades(rows=6), target, store_schema=False)
    content = target.read_bytes()
    at = content.index(b"exchange")
    target.write_bytes(content[:at] + b"\xe5" + content[at + 1 :])
    with pytest.raises(UnicodeDecodeError):
        _ = pq.ParquetFile(target).schema_arrow.names
    for read in (read_all, build, bring):
        with pytest.raises(CatalogError, match=r"symbol=ABC\.parquet: cannot be read as Parquet"):
            read(tmp_path)
    assert [f.check for f in diagnose(str(tmp_path)).findings] == ["unreadable"]


# -- what runs leave -------------------------------------------------------------------------

REPORTS: dict[str, Read] = {
    "equity": report_files.read_account,
    "fills": report_files.read_fills,
    "round_trips": report_files.read_trades,
    "orders": report_files.read_orders,
    "positions": report_files.read_open_positions,
    "events": lambda folder: report_files.read_events(folder, ("order_rejected",)),
}


def texts(folder: Path, name: str) -> list[Any]:
    table = read_table(folder, name)
    return [c.to_pylist() for c in table.columns if c.type == pa.string()]


@pytest.mark.parametrize("table", TABLES)
@pytest.mark.parametrize("sealed", [False, True])
def test_files_of_a_run(tmp_path: Path, table: str, sealed: bool) -> None:
    writer = AuditWriter(tmp_path)
    SmallRun(writer).play_day(0)
    writer.flush()
    if sealed:
        seal(tmp_path)
    [target] = tmp_path.glob(f"{table}.*")
    reads: list[Read] = [lambda folder: texts(folder, table)]
    reads += [REPORTS[table]] if sealed else []
    for read in reads:
        read(tmp_path)
    said = []
    for content in damaged(target.read_bytes()):
        target.write_bytes(content)
        said += [refusal(read, tmp_path) for read in reads]
    assert all(str(target) in sentence for sentence in said if sentence)
    assert sum(map(bool, said)) > len(reads)
