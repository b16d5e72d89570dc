"""What a server is to run: something quick, something that takes its time, something that fails."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

from app.calendar import Hours, TradingCalendar
from settings import Settings, load_settings
from tests.client.small_catalog import DAYS, bar_table, day_path_of, write

FROM = "2013-07-08"
ONCE = """from app.trading.strategy import BarEvent, Context, Param, Strategy


class Once(Strategy):
    quantity = Param(10, ge=1)

    def on_day_start(self, ctx: Context) -> None:
        self.bars = 0

    def on_bar(self, ctx: Context, bar: BarEvent) -> None:
        self.bars += 1
        if self.bars == 5:
            ctx.order(bar.symbol, "buy", self.quantity)
        if self.bars == 100:
            ctx.order(bar.symbol, "sell", self.quantity)
"""
_SLOW = """import time

from app.trading.strategy import BarEvent, Context, Strategy


class Slow(Strategy):
    def on_start(self, ctx: Context) -> None:
        self.bars = 0

    def on_bar(self, ctx: Context, bar: BarEvent) -> None:
        self.bars += 1
        if self.bars % 2:
            ctx.order(bar.symbol, "buy", 1)
        time.sleep(0.001)
"""
_RAISES = """from app.trading.strategy import Strategy


class Raises(Strategy):
    def on_bar(self, ctx, bar):
        raise ValueError("no luck")
"""
NAMES = {"once": ONCE, "slow": _SLOW, "raises": _RAISES}


def write_catalog(root: Path) -> Path:
    """Bars of AIG, a summer long."""
    first, last = map(date.fromisoformat, (FROM, DAYS[1]))
    days, _ = TradingCalendar("XNYS", Hours.REGULAR, 60, first, last).range(first, last)
    for day in days:
        text = day.date.isoformat()
        write(root / day_path_of("bars_1m", "AIG", text), bar_table(text, 50.0))
    return root


def write_configs(folder: Path) -> Path:
    """``once.yaml``, ``slow.yaml`` (half a minute, a day in half a second) and ``raises.yaml``."""
    folder.mkdir(exist_ok=True)
    for name, source in NAMES.items():
        (folder / f"{name}.py").write_text(source)
        start = FROM if name == "slow" else DAYS[0]
        (folder / f"{name}.yaml").write_text(
            f"backtest: {{name: {name}, start: {start}, end: {DAYS[1]}}}\n"
            "data: {symbols: [AIG], streams: [bars_1m], history_days: 0}\n"
            "execution: {commission: {per_share: 0.01}}\n"
            f"strategies:\n  - {{id: {name}, file: {name}.py}}\n"
        )
    return folder


def settings_for(catalog: Path, work: Path, **overrides: Any) -> Settings:
    """Settings of a server whose configurations, runs and cache lie in ``work``."""
    given: dict[str, Any] = {
        "data_catalog_uri": str(catalog), "tapedeck_port": 0,
        "tapedeck_cache_dir": work / "cache", "tapedeck_runs_dir": work / "runs",
        "tapedeck_configs_dir": write_configs(work / "configs"),
    }  # fmt: skip
    return load_settings(None, **(given | overrides))
