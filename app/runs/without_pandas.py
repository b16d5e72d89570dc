"""A process without pandas: pyarrow loads it at the first list that it is given, if it is there.
That would be half of what a recorder takes to start."""

from __future__ import annotations

import sys
from importlib.abc import MetaPathFinder
from typing import Any


class _Without(MetaPathFinder):
    def find_spec(self, name: str, path: Any, target: Any = None) -> None:
        if name == "pandas":
            raise ModuleNotFoundError(f"{name} is not wanted here", name=name)


def hide_pandas() -> None:
    """From now on it cannot be imported here."""
    sys.meta_path.insert(0, _Without())
