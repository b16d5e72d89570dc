"""What a live run says where it cannot follow, and how it ends where something fails."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from app.client import ServerProblem, Tapedeck
from app.errors import RequestError, StateError
from app.runs.store import RunStore
from app.trading.events import EventBase
from tests.conftest import StartServer
from tests.core.harness import DAY1, DAY2, DAY3
from tests.live.behind import live_run, written
from tests.trading.whole.market import write_market

STRATEGY = """
from app.trading.strategy import Strategy

class Quiet(Strategy):
    def on_bar(self, ctx, bar):
        if not ctx.position(bar.symbol) and not ctx.open_orders():
            ctx.order(bar.symbol, "buy", 1)
        if bar.ts_ns >= ctx.open_ns + 600_000_000_000 and RAISES:
            raise ValueError("ten minutes are enough")
"""


@pytest.fixture(scope="module")
def catalog(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_market(tmp_path_factory.mktemp("market"), seed=3)


def config(folder: Path, *, raises: bool = False, **sections: Any) -> Path:
    (folder / "quiet.py").write_text(STRATEGY.replace("RAISES", str(raises)), "utf-8")
    return written(
        folder,
        {
            "backtest": {"name": "quiet", "start": str(DAY1), "end": str(DAY2)},
            "data": {"symbols": ["AAA"]},
            "strategies": [{"id": "quiet", "file": "quiet.py"}],
            **sections,
        },
    )


def start(url: str, symbols: str = "*", **options: Any) -> None:
    with Tapedeck(url) as deck:
        deck.start(symbols, DAY1, DAY2, **({"start_paused": True, "speed": 0} | options))


def state(folder: Path) -> tuple[str, str | None]:
    (one,) = RunStore(folder / "runs").list()
    return str(one.state), one.cause


def test_there_must_be_a_session_that_fits(
    tmp_path: Path, server: StartServer, catalog: Path
) -> None:
    url = server(catalog)
    run = live_run(config(tmp_path), url, tmp_path)
    with pytest.raises(StateError, match="no session; start one, or let"):
        run.run()
    start(url, derived_intervals=[5])
    with pytest.raises(RequestError, match="derives no bars of 15m"):
        run.run()
    with pytest.raises(ServerProblem, match="is PAUSED; stop it"):
        run.run(start=True)
    cases: list[tuple[dict[str, Any], str]] = [
        ({"backtest": {"start": str(DAY1), "end": str(DAY3)}}, "has 2 trading days.* has 3"),
        ({"backtest": {"start": str(DAY2), "end": str(DAY3)}}, "number 1 is 2013-10-04"),
        ({"data": {"symbols": ["AAA", "ZZZ"]}}, "no ZZZ"),
        ({"data": {"symbols": ["AAA"], "streams": ["trades"]}}, "not have: AAA trades"),
    ]
    for sections, text in cases:
        with pytest.raises(RequestError, match=text):
            live_run(config(tmp_path, **sections), url, tmp_path).run()
    assert not list((tmp_path / "runs").glob("quiet*"))


def test_a_strategy_that_raises_fails_the_run(
    tmp_path: Path, server: StartServer, catalog: Path
) -> None:
    result = live_run(config(tmp_path, raises=True), server(catalog), tmp_path).run(
        start=True, speed=0
    )
    assert result.outcome == "failed"
    assert result.cause is not None
    assert "quiet.py, line 9" in result.cause
    assert "ten minutes are enough" in result.cause
    assert state(tmp_path) == ("failed", result.cause)


@pytest.mark.parametrize("by", ["the run", "the server"])
def test_a_run_that_is_stopped(tmp_path: Path, server: StartServer, catalog: Path, by: str) -> None:
    """At a speed at which it would take an hour."""
    url = server(catalog)
    run = live_run(config(tmp_path), url, tmp_path)

    def at_server() -> None:
        with Tapedeck(url) as deck:
            deck.stop()

    stop: Callable[[], object] = run.stop if by == "the run" else at_server

    def tell(event: EventBase) -> None:
        threading.Thread(target=stop).start()

    result = run.run(tell, start=True, speed=600)
    assert (result.outcome, result.cause) == ("stopped", None)
    assert state(tmp_path) == ("stopped", None)
    run.stop()


def test_another_hours_or_a_lost_beginning(
    tmp_path: Path, server: StartServer, catalog: Path
) -> None:
    url = server(catalog, stream_resume_rows=100)
    early = config(tmp_path, backtest={"start": f"{DAY1}T10:00:00-04:00", "end": str(DAY2)})
    start(url, start_paused=True)
    run = live_run(early, url, tmp_path, record=False)
    with Tapedeck(url) as deck:
        deck.step("bar", 5)
        result = run.run()
        assert result.outcome == "failed"
        assert "after 2013-10-04T13:59:59" in str(result.cause)
        deck.step("day", 2)
    result = live_run(config(tmp_path), url, tmp_path, record=False).run()
    assert result.outcome == "failed"
    assert "not_held" in str(result.cause)
    assert result.folder is None
