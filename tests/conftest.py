"""Fixtures that every test may use."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real market data beside the project; skips where it is absent."""
    named = os.environ.get("TAPEDECK_TEST_DATA")
    folder = Path(named) if named else Path(__file__).parents[2] / "shared" / "data"
    if not (folder / "parquet").is_dir():
        pytest.skip(f"no real market data in {folder}; name its folder in TAPEDECK_TEST_DATA")
    return folder
