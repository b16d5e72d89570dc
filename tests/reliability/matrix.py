"""The same session in many ways, and one pair of digests."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from typing import Any

from tests.reliability.carried_out import Cell
from tests.reliability.cells import UNTOLD, cells, write_layouts

ROOT = Path(__file__).parents[2]
Found = tuple[Cell, dict[str, Any]]


def play(wanted: list[Cell], work: Path) -> Iterator[Found]:
    """Each cell and what it came to; those of one hash seed in one process."""
    layouts = work / "layouts"
    write_layouts(layouts)

    def seed_of(cell: Cell) -> int:
        return int(cell["hash_seed"])

    for seed, group in groupby(sorted(wanted, key=seed_of), key=seed_of):
        ours = list(group)
        runs = work / f"seed {seed}"
        runs.mkdir()
        command = [sys.executable, "-m", "tests.reliability.cells", str(layouts), str(runs)]
        with subprocess.Popen(
            command, cwd=ROOT, env=os.environ | {"PYTHONHASHSEED": str(seed)}, text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        ) as process:  # fmt: skip
            assert process.stdin is not None
            assert process.stdout is not None
            process.stdin.write("".join(json.dumps(cell) + "\n" for cell in ours))
            process.stdin.close()
            for cell in ours:
                line = process.stdout.readline()
                if not line:
                    raise RuntimeError(f"the process of this cell ended: {json.dumps(cell)}")
                yield cell, json.loads(line)


def different(found: list[Found]) -> list[str]:
    """A line for every cell that did not come to what the first one did."""
    first = next(one for cell, one in found if not UNTOLD[cell["record"]])
    lines = []
    for cell, one in found:
        expected = first | dict.fromkeys(UNTOLD[cell["record"]])
        if one != expected:
            names = [name for name in one if one[name] != expected[name]]
            lines.append(f"{', '.join(names)}: {json.dumps(cell)}")
    return lines


def main() -> int:
    parser = argparse.ArgumentParser(prog="scripts/matrix", description=__doc__)
    parser.add_argument("--cells", type=int, default=200, help="how many ways")
    parser.add_argument("--seed", type=int, default=0, help="of the ways")
    given = parser.parse_args()
    began_s, found = time.monotonic(), []
    with tempfile.TemporaryDirectory(prefix="tapedeck-matrix-") as work:
        for one in play(cells(given.cells, given.seed), Path(work)):
            found.append(one)
            if len(found) % 20 == 0:
                print(f"{len(found)} of {given.cells}", file=sys.stderr)  # noqa: T201
    wrong = different(found)
    for line in wrong:
        print(f"matrix: {line}", file=sys.stderr)  # noqa: T201
    first = next(one for cell, one in found if not UNTOLD[cell["record"]])
    figures = first | {"cells": len(found), "seconds": round(time.monotonic() - began_s)}
    print(json.dumps(figures, indent=2))  # noqa: T201
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
