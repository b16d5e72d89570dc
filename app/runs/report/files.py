"""The Parquet files of a finished run, as far as a report needs them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import orjson

from app.errors import RunError
from app.model import Floats, Ints
from app.runs.report.columns import (
    Labels,
    counts,
    floats,
    labels,
    read_rows,
    read_table,
    signs,
    times,
)


class Account(NamedTuple):
    """``equity.parquet``: the account from each of these times on, until the next."""

    ts_ns: Ints
    equity: Floats
    cash: Floats
    gross: Floats
    net: Floats


class Fills(NamedTuple):
    """``fills.parquet``; ``sign`` is 1 for a buy and -1 for a sale, ``arrival`` NaN for none."""

    ts_ns: Ints
    price_time_ns: Ints
    strategy: Labels
    symbol: Labels
    sign: Floats
    quantity: Floats
    price: Floats
    commission: Floats
    fees: Floats
    slippage: Floats
    arrival: Floats
    flags: dict[str, int]  # how many fills have each

    @property
    def notional(self) -> Floats:
        return self.quantity * self.price


class Trades(NamedTuple):
    """``round_trips.parquet``; ``side`` is 1 for long and -1 for short, what is unknown NaN."""

    exit_ns: Ints
    entry_ns: Ints
    strategy: Labels
    symbol: Labels
    side: Ints
    quantity: Floats
    entry_price: Floats
    exit_price: Floats
    pnl: Floats
    costs: Floats
    mae: Floats
    mfe: Floats


class Orders(NamedTuple):
    """``orders.parquet``, as far as it is counted."""

    state: Labels
    type: Labels


class Position(NamedTuple):
    """A position as it stood at last."""

    strategy_id: str
    symbol: str
    quantity: float
    average_price: float
    mark: float | None


class Events(NamedTuple):
    """Rows of ``events.parquet`` of the topics asked for, in order."""

    ts_ns: list[int]
    topic: list[str]
    payload: list[dict[str, Any]]


def read_account(folder: Path) -> Account:
    table = read_table(folder, "equity.parquet", ("ts_ns", "equity", "cash", "gross", "net"))
    return Account(times(table, "ts_ns"), *(floats(table, name) for name in Account._fields[1:]))


def read_fills(folder: Path) -> Fills:
    numbers = ("quantity", "price", "commission", "fees", "slippage", "arrival_price")
    table = read_table(
        folder, "fills.parquet",
        ("ts_event_ns", "price_time_ns", "strategy_id", "symbol", "side", *numbers, "flags"),
    )  # fmt: skip
    side = labels(table, "side")
    quantity, price, commission, fees, slippage, arrival = (floats(table, n) for n in numbers)
    return Fills(
        times(table, "ts_event_ns"), times(table, "price_time_ns"),
        labels(table, "strategy_id"), labels(table, "symbol"), signs(side).astype(np.float64),
        quantity, price, commission, fees, slippage, arrival, counts(table["flags"]),
    )  # fmt: skip


def read_trades(folder: Path) -> Trades:
    numbers = ("quantity", "entry_price", "exit_price", "pnl", "costs", "mae", "mfe")
    table = read_table(
        folder, "round_trips.parquet",
        ("ts_event_ns", "entry_ns", "strategy_id", "symbol", "side", *numbers),
    )  # fmt: skip
    quantity, entry, exit_, pnl, costs, mae, mfe = (floats(table, name) for name in numbers)
    # The entry counts as the first mark: at it a trade has neither won nor lost.
    return Trades(
        times(table, "ts_event_ns"), times(table, "entry_ns"),
        labels(table, "strategy_id"), labels(table, "symbol"), signs(labels(table, "side")),
        quantity, entry, exit_, pnl, costs, np.minimum(mae, 0.0), np.maximum(mfe, 0.0),
    )  # fmt: skip


def read_orders(folder: Path) -> Orders:
    table = read_table(folder, "orders.parquet", ("state", "type"))
    return Orders(labels(table, "state"), labels(table, "type"))


def read_open_positions(folder: Path) -> list[Position]:
    """The last row of each strategy and symbol, where it is not flat, in order of both."""
    table = read_table(folder, "positions.parquet", Position._fields)
    last: dict[tuple[str, str], Position] = {}
    for row in zip(*(table[name].to_pylist() for name in Position._fields), strict=True):
        last[row[0], row[1]] = Position(*row)
    return [last[key] for key in sorted(last) if last[key].quantity]


def read_events(folder: Path, topics: Sequence[str]) -> Events:
    columns = ("seq", "ts_event_ns", "type", "payload")
    table = read_rows(folder, "events.parquet", columns, "type", topics).sort_by("seq")
    try:
        payloads = [dict(orjson.loads(text)) for text in table["payload"].to_pylist()]
    except (orjson.JSONDecodeError, TypeError, ValueError) as error:
        raise RunError(f"{folder / 'events.parquet'}: an event is no JSON: {error}") from error
    return Events(times(table, "ts_event_ns").tolist(), table["type"].to_pylist(), payloads)


def read_config(folder: Path) -> dict[str, Any]:
    """The resolved configuration in ``manifest.json``."""
    path = folder / "manifest.json"
    try:
        config: dict[str, Any] = orjson.loads(path.read_bytes())["config"]
    except OSError as error:
        raise RunError(f"{path}: cannot be read: {error.strerror}") from error
    except (orjson.JSONDecodeError, KeyError, TypeError) as error:
        raise RunError(f"{path}: has no configuration ({error!r})") from error
    return config
