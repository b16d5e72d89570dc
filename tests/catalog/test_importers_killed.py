"""A killed import leaves no half file, and running it again gives what an unbroken one gives."""

from __future__ import annotations

import signal
import subprocess
import sys
import zipfile
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from app.catalog.build import build_catalog
from app.catalog.importers import import_csv, import_lean, import_parquet
from tests.catalog.made import files

PROJECT = Path(__file__).parents[2]

# The child stops in the middle of its third file: written, but not yet moved to its place.
CHILD = """
import sys
import pyarrow.parquet as pq

closed = 0
close = pq.ParquetWriter.close

def stop_at_third(writer):
    global closed
    close(writer)
    closed += 1
    if closed == 3:
        print("in the middle", flush=True)
        sys.stdin.read()

pq.ParquetWriter.close = stop_at_third
"""

RUNS = {
    "csv": "from app.catalog.importers import import_csv as run",
    "parquet": "from app.catalog.importers import import_parquet as run",
    "lean": "from app.catalog.importers import import_lean as run",
    "build": "from app.catalog.build import build_catalog as run",
}
FUNCTIONS = {
    "csv": import_csv, "parquet": import_parquet, "lean": import_lean, "build": build_catalog,
}  # fmt: skip


def make_source(folder: Path, kind: str) -> None:
    folder.mkdir()
    if kind == "csv":
        rows = [
            f"2024-03-{d:02}T15:{m:02}:00Z,1,2,1,2,{d}" for d in (4, 5, 6, 7, 8) for m in range(60)
        ]
        text = "\n".join(["ts,open,high,low,close,volume", *rows[::-1]])
        (folder / "X.csv").write_text(text)
    elif kind == "lean":
        for day in (4, 5, 6, 7, 8):
            path = folder / "equity/usa/minute/x" / f"202403{day:02}_trade.zip"
            path.parent.mkdir(parents=True, exist_ok=True)
            with zipfile.ZipFile(path, "w") as archive:
                archive.writestr("x.csv", f"34200000,1,1,1,1,{day}\n")
    else:
        (folder / "trades").mkdir()
        seconds = [1709650000 + 20_000 * i for i in range(20)]
        ts = pa.array(seconds[::-1], pa.timestamp("s", "UTC"))
        table = pa.table({"ts": ts, "price": [1.0] * 20, "size": [1] * 20, "symbol": ["X"] * 20})
        pq.write_table(table, folder / "trades" / "all.parquet")


@pytest.mark.parametrize("kind", ["csv", "parquet", "lean", "build"])
def test_killed_in_the_middle_of_a_file(tmp_path: Path, kind: str) -> None:
    source, cut, whole = tmp_path / "in", tmp_path / "cut", tmp_path / "whole"
    make_source(source, kind)
    options = {"dataset": "trades"} if kind == "parquet" else {}
    FUNCTIONS[kind](str(source), str(whole), **options)  # type: ignore[operator]
    wanted = files(whole)
    assert len(wanted) >= 5

    call = f"run({str(source)!r}, {str(cut)!r}, **{options!r})"
    child = subprocess.Popen(
        [sys.executable, "-c", "\n".join([CHILD, RUNS[kind], call])],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=PROJECT,
    )  # fmt: skip
    with child:
        assert child.stdout is not None
        assert child.stdout.readline() == "in the middle\n"
        child.send_signal(signal.SIGKILL)
        assert child.wait() == -signal.SIGKILL

    left = files(cut)
    parts = [name for name in left if Path(name).name.startswith(".")]
    assert len(parts) == 1
    seen = {name: data for name, data in left.items() if name not in parts}
    assert len(seen) == 2
    assert all(wanted[name] == data for name, data in seen.items())

    FUNCTIONS[kind](str(source), str(cut), **options)  # type: ignore[operator]
    assert files(cut) == wanted
