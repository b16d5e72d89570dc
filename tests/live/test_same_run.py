"""The same file behind a running server's stream gives the same signals, orders and fills."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from socket import SHUT_RDWR
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from app.catalog.layout import side_path
from app.client import Tapedeck
from app.managers.system_manager.backtest import BacktestResult
from app.trading.events import EventBase, FillEvent
from tests.conftest import StartServer
from tests.core.harness import DAY1, DAY2, DAY3, MINUTE, open_ns
from tests.live.behind import (
    BUSY,
    ROOT,
    check_same,
    events,
    followed,
    live_run,
    replayed,
    written,
)
from tests.trading.whole.market import write_market

SERVICES = ("execution", "portfolio", "strategy", "risk", "audit")


def busy(**sections: Any) -> dict[str, Any]:
    return {
        "backtest": {"name": "busy", "start": str(DAY1), "end": str(DAY3), "seed": 7},
        "data": {"symbols": ["*"], "history_days": 1},
        "risk": {
            "sizing": {"method": "fraction_of_equity", "value": 0.05}, "shortable": "all",
            "intraday_buying_power": 2.0,
        },
        "execution": {"commission": {"per_share": 0.005}},
        "strategies": [
            {"id": "brackets", "file": str(BUSY), "name": "Brackets"},
            {"id": "reverting", "file": str(BUSY), "name": "Reverting",
             "symbols": ["AAA", "BBB"], "budget_pct": 0.5},
        ],
        **sections,
    }  # fmt: skip


@pytest.fixture(scope="module")
def catalog(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_market(tmp_path_factory.mktemp("market"), seed=1)


@pytest.fixture(scope="module")
def replay(tmp_path_factory: pytest.TempPathFactory, catalog: Path) -> BacktestResult:
    folder = tmp_path_factory.mktemp("replay")
    return replayed(written(folder, busy()), catalog, folder)


@pytest.mark.parametrize("speed", [0.0, 200_000.0])
def test_brackets_ticks_timers_and_auctions(
    tmp_path: Path, server: StartServer, catalog: Path, replay: BacktestResult, speed: float
) -> None:
    told: list[Any] = []
    live = followed(
        written(tmp_path, busy()), server(catalog), tmp_path, speed=speed, tell=told.append
    )
    check_same(replay, live)
    assert live.digest == replay.digest
    counts = {type(e).__name__: 0 for e in told}
    assert set(counts) >= {"SignalEvent", "OrderApprovedEvent", "FillEvent"}
    assert len(events(live)) > 500


def test_who_comes_late_misses_nothing(
    tmp_path: Path, server: StartServer, catalog: Path, replay: BacktestResult
) -> None:
    """The session has run to its end; the server still holds its slices."""
    url = server(catalog)
    with Tapedeck(url) as deck:
        deck.start("*", DAY1, DAY3, speed=0, history_days=1)
        with deck.stream("status") as stream:
            for _ in stream:
                pass
    live = live_run(written(tmp_path, busy()), url, tmp_path).run()
    check_same(replay, live)


def test_a_broken_connection_changes_nothing(
    tmp_path: Path, server: StartServer, catalog: Path, replay: BacktestResult
) -> None:
    run: Any = live_run(written(tmp_path, busy()), server(catalog), tmp_path)
    breaks: list[FillEvent] = []

    def tell(event: EventBase) -> None:
        if isinstance(event, FillEvent) and event.ts_event_ns > open_ns(DAY2) and not breaks:
            breaks.append(event)
            run._stream._socket.socket.shutdown(SHUT_RDWR)

    check_same(replay, run.run(tell, start=True, speed=100_000))
    assert breaks


@pytest.mark.parametrize("services", [dict.fromkeys(SERVICES, "threaded"), {"risk": "async"}])
def test_services_may_run_anywhere(
    tmp_path: Path, server: StartServer, catalog: Path, replay: BacktestResult,
    services: dict[str, str],
) -> None:  # fmt: skip
    config = written(tmp_path, busy(services=services))
    check_same(replay, followed(config, server(catalog), tmp_path))


@pytest.mark.parametrize(
    ("example", "sets", "speed"),
    [
        # Warm-up is of the look-back: a catalog's bars of years before are not on the stream.
        ("sma_cross", ("strategies.sma.warmup=null",), 0.0),
        ("sma_cross", ("backtest.start=2013-10-07",), 500_000.0),
        ("opening_range", (), 0.0),
        ("opening_range", (), 500_000.0),
        ("mean_reversion", (), 0.0),
        ("pair_trade", (), 0.0),
    ],
)
def test_examples_on_real_days(
    tmp_path: Path, server: StartServer, real_data: Path, example: str, sets: tuple[str, ...],
    speed: float,
) -> None:  # fmt: skip
    """SPY has bars on all of these days and trades on one, which is then what orders fill on."""
    config, catalog = ROOT / "examples" / f"{example}.yaml", real_data / "parquet"
    replay = replayed(config, catalog, tmp_path / "replay", *sets)
    live = followed(config, server(catalog), tmp_path / "live", *sets, speed=speed)
    check_same(replay, live)
    assert live.summary["statistics"]["fills"] > 0


def test_what_stands_beside_the_streams(tmp_path: Path, server: StartServer) -> None:
    """Daily closes come from the server; corporate actions and halts from a catalog named."""
    catalog = write_market(tmp_path / "market", seed=2)
    write_side(catalog, "daily", "AAA", {"date": [DAY1, DAY2], "close": [101.5, 99.25]})
    actions: dict[str, list[Any]] = {
        "date": [DAY2, DAY3], "type": ["dividend", "split"], "ratio": [None, 2.0],
        "amount": [0.5, None],
    }  # fmt: skip
    write_side(catalog, "corporate_actions", "BBB", actions)
    halted = [[datetime.fromtimestamp((open_ns(DAY1) + m * MINUTE) // 10**9, UTC)] for m in (9, 20)]
    write_side(catalog, "halts", "AAA", {"start": halted[0], "end": halted[1]})
    config = written(tmp_path, busy())
    replay = replayed(config, catalog, tmp_path)
    kinds = [e["type"] for e in events(replay)]
    assert kinds.count("corporate_action") == 2
    url = server(catalog)
    check_same(replay, followed(config, url, tmp_path, catalog=str(catalog)))
    without = followed(config, url, tmp_path)
    assert "corporate_action" not in [e["type"] for e in events(without)]


def write_side(catalog: Path, dataset: str, symbol: str, columns: dict[str, list[Any]]) -> None:
    path = catalog / side_path(dataset, symbol)
    path.parent.mkdir(parents=True)
    pq.write_table(pa.table(columns), path)
