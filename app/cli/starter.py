"""What ``tapedeck init`` writes: a commented configuration, a strategy and settings."""

from __future__ import annotations

import json
import re
from string import Template
from typing import NamedTuple

RUN, STRATEGY, ENV = "run.yaml", "strategy.py", ".env"

_RUN = Template("""\
# A backtest. Run it:          tapedeck backtest run.yaml
# Look it over, run nothing:   tapedeck backtest run.yaml --check
# Every key, for an editor:    tapedeck backtest --schema

backtest:
  name: first                # part of the run's id
  start: $start          # trading dates, both inside
  end: $end
  calendar: $calendar             # the exchange whose days and hours count
  seed: 0                    # of the run's random numbers

data:                        # the catalog is the one of .env (DATA_CATALOG_URI)
  symbols: $symbols

portfolio:
  initial_cash: 100000
  benchmark: $first          # the report compares with it

risk:
  cash_buffer_pct: 0.05      # of equity, never spent
  sizing: {method: fraction_of_equity, value: 0.4}  # of a signal of strength 1

execution:
  policy: next_bar           # an order fills on what comes after it
  commission: {per_share: 0.005, minimum: 1}
  slippage: {model: fixed_bps, bps: 1}

strategies:
  - id: cross
    file: strategy.py        # beside this file
    params: {fast: 10, slow: 30}
""")

STRATEGY_TEXT = '''\
"""Long while the fast mean of closes is above the slow one, else flat.

The strategy has a view, a signal; how much is bought is for risk to say (run.yaml).
``ctx.order(...)`` sends an order of its own.
"""

from talipp.indicators import SMA

from app.trading.strategy import BarEvent, Context, Param, Strategy


class Cross(Strategy):
    # Parameters can be set in run.yaml, or with --set strategies.cross.params.fast=20
    fast = Param(10, ge=1, le=500, doc="bars of the fast mean")
    slow = Param(30, ge=2, le=1000, doc="bars of the slow mean")

    def on_start(self, ctx: Context) -> None:
        if self.fast >= self.slow:
            raise ValueError(f"fast is {self.fast}, slow {self.slow}; needed: fast below slow")
        self.means = {symbol: (SMA(self.fast), SMA(self.slow)) for symbol in ctx.symbols}

    def on_bar(self, ctx: Context, bar: BarEvent) -> None:
        if bar.post_close:  # the closing auction's bar: nothing fills after it
            return
        fast, slow = self.means[bar.symbol]
        fast.add(bar.close)
        slow.add(bar.close)
        if slow[-1] is None:  # not enough bars yet
            return
        wanted = fast[-1] > slow[-1]
        held = ctx.position(bar.symbol) != 0
        if wanted != held and not ctx.open_orders(bar.symbol):
            ctx.signal(bar.symbol, 1 if wanted else 0)

    def on_end(self, ctx: Context) -> None:
        ctx.log("done")  # shown while the run goes on
'''

_ENV = Template("""\
# Settings of tapedeck in this folder; a variable of the environment stands above a line here.

# Root of the catalog that is replayed: a folder, or a URI such as s3://bucket/prefix.
DATA_CATALOG_URI=$catalog

# Configurations that a server in this folder may run: run.yaml.
TAPEDECK_CONFIGS_DIR=.

# Market seconds a wall second of a server's new session; 0 is as fast as the machine allows.
#DATA_MANAGER_BACKTEST_SPEED=60

# debug, info, warning or error: also of what strategies say with ctx.log.
#LOG_LEVEL=info
""")


class Market(NamedTuple):
    """What a first run replays: symbols, and dates of trading days, both inside."""

    symbols: list[str]
    start: str
    end: str
    calendar: str


def run_text(market: Market) -> str:
    """The configuration; symbols are quoted, for YAML reads some as other things."""
    return _RUN.substitute(
        start=market.start, end=market.end, calendar=market.calendar,
        symbols=json.dumps(market.symbols), first=json.dumps(market.symbols[0]),
    )  # fmt: skip


def env_text(catalog: str) -> str:
    """The settings."""
    plain = re.fullmatch(r"[\w./:@%?&=+-]+", catalog)
    escaped = catalog.replace("\\", "\\\\").replace("'", "\\'")
    return _ENV.substitute(catalog=catalog if plain else f"'{escaped}'")
