"""hftbacktest: trades and quotes alone (W3), the strategy compiled by numba.

A price level is one of its events, so a quote is two of them, and four where both prices move (the
old levels are taken away). It does not say whose event has come: the strategy asks each symbol for
new trades. Compiling is done on a few rows before the clock starts, and is not counted.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from common import FAST, QUANTITY, SLOW, Job, Timer, files, read_job, report, rows_of
from hftbacktest import (
    BUY_EVENT,
    DEPTH_EVENT,
    EXCH_EVENT,
    GTC,
    LOCAL_EVENT,
    MARKET,
    SELL_EVENT,
    TRADE_EVENT,
    BacktestAsset,
    HashMapMarketDepthBacktest,
)
from hftbacktest.types import event_dtype
from numba import njit

FAR_NS = 10**18
BOTH = EXCH_EVENT | LOCAL_EVENT
END, FEED = 1, 2
WARM_ROWS = 200


@njit
def count(hbt: Any) -> int:
    events = 0
    while True:
        answer = hbt.wait_next_feed(False, FAR_NS)
        if answer == END:
            return events
        if answer == FEED:
            events += 1


@njit
def cross(hbt: Any) -> int:
    """Long 100 while the mean of 30 trades is above that of 90, else flat; orders sent."""
    symbols = hbt.num_assets
    ring = np.zeros((symbols, SLOW))
    seen = np.zeros(symbols, np.int64)
    fast, slow = np.zeros(symbols), np.zeros(symbols)
    is_long = np.zeros(symbols, np.bool_)
    orders = 0
    while True:
        answer = hbt.wait_next_feed(False, FAR_NS)
        if answer == END:
            return orders
        if answer != FEED:
            continue
        for symbol in range(symbols):
            trades = hbt.last_trades(symbol)
            if len(trades) == 0:
                continue
            for trade in trades:
                price = trade.px
                place = seen[symbol] % SLOW
                if seen[symbol] >= SLOW:
                    fast[symbol] += price - ring[symbol, (seen[symbol] - FAST) % SLOW]
                    slow[symbol] += price - ring[symbol, place]
                else:
                    fast[symbol] += price if seen[symbol] >= SLOW - FAST else 0.0
                    slow[symbol] += price
                ring[symbol, place] = price
                seen[symbol] += 1
                if seen[symbol] <= SLOW:
                    continue
                turned = (fast[symbol] * SLOW > slow[symbol] * FAST) != is_long[symbol]
                if turned:
                    is_long[symbol] = not is_long[symbol]
                    orders += 1
                    if is_long[symbol]:
                        ask = hbt.depth(symbol).best_ask
                        hbt.submit_buy_order(symbol, orders, ask, QUANTITY, GTC, MARKET, False)
                    else:
                        bid = hbt.depth(symbol).best_bid
                        hbt.submit_sell_order(symbol, orders, bid, QUANTITY, GTC, MARKET, False)
            hbt.clear_last_trades(symbol)
            hbt.clear_inactive_orders(symbol)


def levels(stamps: Any, price: Any, size: Any, side: int) -> tuple[Any, Any]:
    """A side of the quotes as levels set, and before each that moves the old one taken away."""
    events = np.zeros(2 * len(stamps), event_dtype)
    events["ev"] = DEPTH_EVENT | BOTH | side
    events["exch_ts"] = events["local_ts"] = np.repeat(stamps, 2)
    events["px"][1::2], events["qty"][1::2] = price, size
    events["px"][2::2] = price[:-1]
    is_needed = np.ones(len(events), bool)
    is_needed[0] = False
    is_needed[2::2] = price[1:] != price[:-1]
    return events, is_needed


def events_of(trades: Path, quotes: Path, rows: int | None) -> Any:
    """Trades before quotes of the same stamp, then in the order of the files."""
    table = pq.read_table(trades, columns=["ts", "price", "size"]).slice(0, rows)
    stamps = table["ts"].cast("int64").to_numpy()
    first = np.zeros(len(stamps), event_dtype)
    first["ev"] = TRADE_EVENT | BOTH | BUY_EVENT
    first["exch_ts"] = first["local_ts"] = stamps
    first["px"], first["qty"] = table["price"].to_numpy(), table["size"].to_numpy()
    names = ["ts", "bid", "bid_size", "ask", "ask_size"]
    table = pq.read_table(quotes, columns=names).slice(0, rows)
    stamps = table["ts"].cast("int64").to_numpy()
    bid, keep_bid = levels(stamps, table["bid"].to_numpy(), table["bid_size"].to_numpy(), BUY_EVENT)
    ask, keep_ask = levels(
        stamps, table["ask"].to_numpy(), table["ask_size"].to_numpy(), SELL_EVENT
    )
    # Of one quote: both old levels go before a new one is set, so that the book never crosses.
    four = np.stack([bid[0::2], ask[0::2], bid[1::2], ask[1::2]], axis=1).ravel()
    keep = np.stack([keep_bid[0::2], keep_ask[0::2], keep_bid[1::2], keep_ask[1::2]], 1).ravel()
    both = np.concatenate([first, four[keep]])
    return both[np.argsort(both["exch_ts"], kind="stable")]


def load(job: Job, rows: int | None = None) -> tuple[Any, list[Any]]:
    """The backtest, and its events: it only points to them."""
    assets, kept = [], []
    pairs = zip(files(job.root, "trades"), files(job.root, "quotes"), strict=True)
    for (_, trades), (_, quotes) in pairs:
        asset = BacktestAsset()
        kept.append(events_of(trades, quotes, rows))
        asset.data(kept[-1])
        asset.linear_asset(1.0).constant_order_latency(0, 0).risk_adverse_queue_model()
        asset.no_partial_fill_exchange().flat_per_trade_fee_model(1.0, 1.0)
        asset.tick_size(0.01).lot_size(1.0).last_trades_capacity(1000)
        assets.append(asset)
    return HashMapMarketDepthBacktest(assets), kept


def main() -> None:
    job = read_job()
    work = count if job.strategy == "count" else cross
    warm, warm_events = load(job, WARM_ROWS)
    work(warm)
    warm.close()
    del warm_events
    timer = Timer()
    hbt, events = load(job)
    timer.loaded()
    work(hbt)
    timer.ended()
    fills = sum(int(hbt.state_values(i).num_trades) for i in range(hbt.num_assets))
    hbt.close()
    del events
    report(timer, rows_of(job), ("hftbacktest", "numba", "pyarrow"), fills)


if __name__ == "__main__":
    main()
