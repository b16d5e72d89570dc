"""NautilusTrader: bars, or trades and quotes, made into its objects, then replayed.

Modes: "" as it comes; "no-bar-execution": bars go to the strategy and not to the matching engine,
so market orders of the cross find no price (``count`` only). Quotes fill either way.

Three settings are not the default. Orders are not limited to 100 a second: where many symbols cross
at one time, it would deny the rest. And as each closed position would cost more than the one before
it, the analysis after the run is off (this project makes no report here either), and pandas keeps
strings as objects, because the portfolio joins two Series, by position, at every close.
"""

from __future__ import annotations

from typing import Any

import pandas as pd
import pyarrow.parquet as pq
from common import CASH, FEE, MINUTE_NS, QUANTITY, Job, Means, Timer, files, read_job, report
from nautilus_trader.backtest.engine import BacktestEngine, BacktestEngineConfig
from nautilus_trader.backtest.models import FixedFeeModel
from nautilus_trader.config import LoggingConfig, RiskEngineConfig
from nautilus_trader.model.currencies import USD
from nautilus_trader.model.data import Bar, BarType, QuoteTick, TradeTick
from nautilus_trader.model.enums import AccountType, OmsType, OrderSide
from nautilus_trader.model.events import OrderFilled
from nautilus_trader.model.identifiers import InstrumentId, Symbol, TraderId, Venue
from nautilus_trader.model.instruments import Equity
from nautilus_trader.model.objects import Money, Price, Quantity
from nautilus_trader.persistence.wranglers import (
    BarDataWrangler,
    QuoteTickDataWrangler,
    TradeTickDataWrangler,
)
from nautilus_trader.trading.strategy import Strategy

VENUE = Venue("XNYS")


class Base(Strategy):
    """Subscribes to everything of the workload."""

    def __init__(self, instruments: list[Equity], has_ticks: bool) -> None:
        super().__init__()
        self.instruments, self.has_ticks = instruments, has_ticks
        self.fills = 0

    def on_start(self) -> None:
        for instrument in self.instruments:
            if self.has_ticks:
                self.subscribe_trade_ticks(instrument.id)
            else:
                self.subscribe_bars(bar_type(instrument.id))

    def on_order_filled(self, event: OrderFilled) -> None:
        self.fills += self.cache.order(event.client_order_id).is_closed  # a fill may be partial


class Count(Base):
    def on_start(self) -> None:
        self.seen = 0
        super().on_start()
        if self.has_ticks:
            for instrument in self.instruments:
                self.subscribe_quote_ticks(instrument.id)

    def on_bar(self, bar: Bar) -> None:
        self.seen += 1

    def on_trade_tick(self, tick: TradeTick) -> None:
        self.seen += 1

    def on_quote_tick(self, tick: QuoteTick) -> None:
        self.seen += 1


class Cross(Base):
    """Long 100 while the mean of 30 is above that of 90, else flat. Quotes fill without it."""

    def on_start(self) -> None:
        self.means = {instrument.id: Means() for instrument in self.instruments}
        self.quantity = Quantity.from_int(QUANTITY)
        super().on_start()

    def turn(self, instrument_id: InstrumentId, long: bool) -> None:
        side = OrderSide.BUY if long else OrderSide.SELL
        self.submit_order(self.order_factory.market(instrument_id, side, self.quantity))

    def on_bar(self, bar: Bar) -> None:
        instrument_id = bar.bar_type.instrument_id
        means = self.means[instrument_id]
        if means.add(bar.close.as_double()):
            self.turn(instrument_id, means.long)

    def on_trade_tick(self, tick: TradeTick) -> None:
        means = self.means[tick.instrument_id]
        if means.add(tick.price.as_double()):
            self.turn(tick.instrument_id, means.long)


def bar_type(instrument_id: InstrumentId) -> BarType:
    return BarType.from_str(f"{instrument_id}-1-MINUTE-LAST-EXTERNAL")


def equity(symbol: str) -> Equity:
    return Equity(
        instrument_id=InstrumentId(Symbol(symbol), VENUE), raw_symbol=Symbol(symbol), currency=USD,
        price_precision=2, price_increment=Price.from_str("0.01"), lot_size=Quantity.from_int(1),
        ts_event=0, ts_init=0,
    )  # fmt: skip


def frame(path: Any, columns: dict[str, str]) -> pd.DataFrame:
    table = pq.read_table(path, columns=["ts", *columns])
    found = table.to_pandas().rename(columns=columns).set_index("ts")
    found.index.name = "timestamp"
    return found


def bars(path: Any, instrument: Equity) -> list[Bar]:
    names = ("open", "high", "low", "close", "volume")
    found = frame(path, dict(zip(names, names, strict=True)))
    found.index = found.index + pd.Timedelta(MINUTE_NS, "ns")  # a bar is known at its end
    return list(BarDataWrangler(bar_type(instrument.id), instrument).process(found))


def trades(path: Any, instrument: Equity) -> list[TradeTick]:
    found = frame(path, {"price": "price", "size": "quantity"})
    found["trade_id"] = range(len(found))
    return list(TradeTickDataWrangler(instrument).process(found))


def quotes(path: Any, instrument: Equity) -> list[QuoteTick]:
    names = {"bid": "bid_price", "ask": "ask_price", "bid_size": "bid_size", "ask_size": "ask_size"}
    return list(QuoteTickDataWrangler(instrument).process(frame(path, names)))


MAKERS = {"bars_1m": bars, "trades": trades, "quotes": quotes}


def load(job: Job) -> tuple[BacktestEngine, Base]:
    engine = BacktestEngine(
        BacktestEngineConfig(
            trader_id=TraderId("BENCH-1"),
            logging=LoggingConfig(bypass_logging=True),
            risk_engine=RiskEngineConfig(max_order_submit_rate="1000000/00:00:01"),
            run_analysis=False,
        )
    )
    engine.add_venue(
        venue=VENUE, oms_type=OmsType.NETTING, account_type=AccountType.CASH, base_currency=USD,
        starting_balances=[Money(CASH, USD)], fee_model=FixedFeeModel(Money(FEE, USD)),
        bar_execution=job.mode != "no-bar-execution",
    )  # fmt: skip
    datasets = ("trades", "quotes") if job.has_ticks else ("bars_1m",)
    instruments: dict[str, Equity] = {}
    for dataset in datasets:
        for symbol, path in files(job.root, dataset):
            if symbol not in instruments:
                instruments[symbol] = equity(symbol)
                engine.add_instrument(instruments[symbol])
            engine.add_data(MAKERS[dataset](path, instruments[symbol]), sort=False)
    engine.sort_data()
    strategy = (Count if job.strategy == "count" else Cross)(
        list(instruments.values()), job.has_ticks
    )
    engine.add_strategy(strategy)
    return engine, strategy


def main() -> None:
    job = read_job()
    pd.set_option("future.infer_string", False)
    timer = Timer()
    engine, strategy = load(job)
    timer.loaded()
    engine.run()
    timer.ended()
    seen = strategy.seen if isinstance(strategy, Count) else engine.iteration
    report(timer, seen, ("nautilus_trader", "pyarrow"), strategy.fills)


if __name__ == "__main__":
    main()
