"""``tapedeck serve`` as a process, for tests that need a real server."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

ROOT = Path(__file__).parents[2]
COMMAND = (sys.executable, "-m", "app.cli")


def environment(cache: Path) -> dict[str, str]:
    """This process's environment, with the project on the path and no cache in the tree."""
    return os.environ | {"PYTHONPATH": str(ROOT), "TAPEDECK_CACHE_DIR": str(cache)}


@contextmanager
def served(catalog: Path, work: Path) -> Iterator[str]:
    """The base URL of a server over ``catalog``, run in the folder ``work``."""
    command = [*COMMAND, "serve", "--port", "0", "--catalog", str(catalog)]
    with (work / "serve.log").open("w") as log:
        process = subprocess.Popen(
            command, cwd=work, env=environment(work), stdout=subprocess.PIPE, stderr=log, text=True
        )
    with process:
        try:
            assert process.stdout is not None
            yield base_url(process.stdout)
        finally:
            process.send_signal(signal.SIGTERM)
            code = process.wait(10)
    assert code == 0, (work / "serve.log").read_text()


def base_url(output: IO[str]) -> str:
    """From the first line that a server prints: ``Tapedeck serves http://.../api/v1``."""
    first = output.readline()
    assert "http://" in first, first
    return first[first.index("http://") :].strip().removesuffix("/api/v1")
