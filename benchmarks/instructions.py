"""How many instructions a fixed small replay takes: the same again within 2 %, busy or not.

By valgrind, the small W2 with every service, less what starting Python and importing take. It
holds for one Python and one set of packages. Left to chance is how windows are cut, by time.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

from benchmarks.runs import own_python

LIMIT_S = 900
TOLERANCE = 0.1
_COUNT = re.compile(r"I\s+refs:\s+([\d,]+)")
_ROOT = Path(__file__).parents[1]


def read_count(said: str) -> int:
    """The total that valgrind ends with. Raises ValueError."""
    found = _COUNT.search(said)
    if found is None:
        raise ValueError(f"valgrind gave no count; it ended with {said[-200:]!r}")
    return int(found[1].replace(",", ""))


def replay_instructions(root: Path) -> int | None:
    """Of a run on the small W2 in ``root``; None where there is no valgrind."""
    valgrind = shutil.which("valgrind")
    if valgrind is None:
        return None
    work = ["--root", str(root), "--workload", "W2", "--strategy", "sma"]
    whole = _count(valgrind, ["-m", "benchmarks.own", *work])
    return whole - _count(valgrind, ["-c", "import benchmarks.own"])


def _count(valgrind: str, arguments: list[str]) -> int:
    done = subprocess.run(
        [
            valgrind, "--tool=cachegrind", "--cache-sim=no", "--cachegrind-out-file=/dev/null",
            str(own_python()), *arguments,
        ],
        capture_output=True, text=True, timeout=LIMIT_S, cwd=_ROOT, check=True,
        env=os.environ | {"PYTHONHASHSEED": "0"},
    )  # fmt: skip
    return read_count(done.stderr)


def more(before: int, now: int) -> str | None:
    """What to say where the count grew beyond ``TOLERANCE``."""
    if now <= before * (1 + TOLERANCE):
        return None
    return f"instructions of the small replay: {now:,}, was {before:,} ({now / before - 1:+.0%})"
