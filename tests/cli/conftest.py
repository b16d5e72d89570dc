"""The command line as a user calls it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from app.cli import cli, show
from settings import Settings

Run = Callable[..., Result]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Run:
    """Calls ``tapedeck`` in an empty folder, without settings, on a wide terminal."""
    for field in Settings.model_fields:
        monkeypatch.delenv(field.upper(), raising=False)
    monkeypatch.chdir(tmp_path)
    for console in (show.out, show.err):  # a process may have been given COLUMNS at its start
        monkeypatch.setattr(console, "width", 200)
    runner = CliRunner()

    def call(*arguments: object) -> Result:
        return runner.invoke(cli, [str(a) for a in arguments])

    return call
