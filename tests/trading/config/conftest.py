"""A folder with a good configuration, and what is said of a changed one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from app.errors import ConfigError
from app.trading.config import load_backtest_config

GOOD = (
    "backtest: {start: 2013-10-04, end: 2013-10-08}",
    "data: {symbols: [SPY, AIG]}",
    "strategies:",
    "  - {id: sma, file: sma.py}",
)
Refusal = Callable[..., tuple[str, ...]]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working folder, with the strategy files that configurations name."""
    monkeypatch.chdir(tmp_path)
    for name in ("sma.py", "pair.py"):
        (tmp_path / name).touch()
    return tmp_path


def text_of(*more: str, **lines: str) -> str:
    """The good configuration with further lines, and lines 1 to 4 (``l1``...) replaced."""
    kept = [lines.get(f"l{number}", line) for number, line in enumerate(GOOD, 1)]
    return "\n".join([*kept, *more]) + "\n"


@pytest.fixture
def refusal(folder: Path) -> Refusal:
    """``refusal(text, *overrides)``: the problems that ``run.yaml`` with this text has."""

    def refuse(text: str | bytes, *overrides: str) -> tuple[str, ...]:
        content = text.encode("utf-8") if isinstance(text, str) else text
        (folder / "run.yaml").write_bytes(content)
        with pytest.raises(ConfigError) as caught:
            load_backtest_config("run.yaml", overrides)
        assert str(caught.value) == "\n".join(caught.value.problems)
        return caught.value.problems

    return refuse
