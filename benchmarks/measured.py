"""What all benchmarks share: where they put things, how they tell, what a file of figures has."""

from __future__ import annotations

import json
import platform
import sys
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from benchmarks.machine import machine

HERE = Path(__file__).parent
DATA = HERE / "data"
_PACKAGES = ("numpy", "pyarrow", "msgspec", "orjson", "uvicorn", "uvloop")


def say(text: str) -> None:
    sys.stderr.write(f"bench: {text}\n")
    sys.stderr.flush()


def write(path: Path, results: dict[str, Any]) -> None:
    """JSON with one row a line: of every list of rows, which come last."""
    lists = {
        name: value for name, value in results.items()
        if isinstance(value, list) and value and isinstance(value[0], dict)
    }  # fmt: skip
    head = {name: value for name, value in results.items() if name not in lists}
    parts = [json.dumps(head, indent=2)[:-2]]
    for name, rows in lists.items():
        lines = ",\n".join(f"    {json.dumps(row)}" for row in rows)
        parts.append(f'  "{name}": [\n{lines}\n  ]')
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_suffix(".tmp")
    unfinished.write_text(",\n".join(parts) + "\n}\n", "utf-8")
    unfinished.replace(path)


def conditions(is_quick: bool) -> dict[str, Any]:
    """When, at which scale, on what."""
    return {
        "date": datetime.now(UTC).date().isoformat(),
        "scale": "quick" if is_quick else "full",
        "machine": machine(),
        "versions": {"python": platform.python_version()} | {p: version(p) for p in _PACKAGES},
    }


def path_of(name: str, is_quick: bool) -> Path:
    """The file of figures; of small sizes it is no part of the repository."""
    return DATA / f"{name}-quick.json" if is_quick else HERE / f"{name}.json"
