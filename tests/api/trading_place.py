"""A server with a session that trades, and what its strategy comes to."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
from pydantic import BaseModel

from app.api import schemas_session, schemas_trading
from app.api.local import LocalServer
from app.managers.system_manager import SystemManager
from app.managers.system_manager.backtest import BacktestEngine
from settings import load_settings
from tests.api.small_catalog import build

# Bar n of a day: open and close at the price + n cents, high and low half a dollar around it.
STRATEGY = '''
from app.trading.strategy import BarEvent, Context, Strategy


class Once(Strategy):
    """Buys by a signal at the third bar of BAC, and asks for what is refused at the fifth."""

    def on_start(self, ctx: Context) -> None:
        self.seen = 0

    def on_bar(self, ctx: Context, bar: BarEvent) -> None:
        if bar.symbol != "BAC":
            return
        self.seen += 1
        if self.seen == 3:
            ctx.signal("BAC", 1, tag="first")
        if self.seen == 5:
            ctx.signal("BRK/B", -1)
'''
CONFIG = """
backtest: {name: live, start: 2013-10-07, end: 2013-10-08}
data: {symbols: [BAC, BRK/B], streams: [bars_1m], history_days: 0}
portfolio: {initial_cash: 100000}
execution:
  commission: {per_share: 0.01}
strategies:
  - {id: once, file: once.py}
"""
OPEN = "2013-10-07T13:30:00Z"
TO_OPEN = 1  # the clock starts 1 ns before it
SHARES = 499  # a tenth of 100000 at the mark of 13:33, 20.02
CASH = 90000.04  # 100000 - 499 x 20.03 - 4.99


def model(path: str) -> type[BaseModel]:
    """What the page says that a call answers."""
    if path.startswith("/orders/"):
        return schemas_trading.Why if path.endswith("/why") else schemas_trading.OrderAnswer
    models: dict[str, type[BaseModel]] = {
        "": schemas_session.Session, "/account": schemas_trading.Account,
        "/positions": schemas_trading.Positions, "/orders": schemas_trading.Orders,
        "/fills": schemas_trading.Fills, "/signals": schemas_trading.Signals,
    }  # fmt: skip
    return models[path]


class Place:
    """A server, its folders, and a client of it."""

    def __init__(self, root: Path, **overrides: Any) -> None:
        self.catalog = build(root / "catalog", minutes=60)
        self.configs, self.runs = root / "configs", root / "runs"
        self.configs.mkdir()
        (self.configs / "once.py").write_text(STRATEGY, "utf-8")
        (self.configs / "live.yaml").write_text(CONFIG, "utf-8")
        (root / "outside.yaml").write_text(CONFIG, "utf-8")
        settings = load_settings(
            None, data_catalog_uri=str(self.catalog), tapedeck_port=0,
            tapedeck_cache_dir=root / "cache", tapedeck_runs_dir=self.runs,
            tapedeck_configs_dir=self.configs, data_manager_backtest_speed=0, **overrides,
        )  # fmt: skip
        self.headless = BacktestEngine.from_config(
            self.configs / "live.yaml", settings=settings, runs=root / "headless", report=False
        ).run()
        self.server = LocalServer(SystemManager.from_settings(settings), settings)
        self.http = httpx.Client(base_url=self.server.start() + "/api/v1", timeout=20)

    def close(self) -> None:
        self.http.close()
        self.server.stop()

    def get(self, path: str, **query: Any) -> Any:
        answer = self.http.get("/session" + path, params=query)
        assert answer.status_code == 200, answer.text
        body = answer.json()
        model(path).model_validate(body)
        return body

    def begin(self, **more: Any) -> Any:
        """A new session, paused before its first slice."""
        self.http.post("/session/stop").raise_for_status()
        body = {"config": "live.yaml", "start_paused": True, **more}
        answer = self.http.post("/session", json=body)
        assert answer.status_code == 201, answer.text
        return answer.json()

    def step(self, bars: int) -> Any:
        answer = self.http.post("/session/step", json={"unit": "bar", "count": bars})
        assert answer.status_code == 200, answer.text
        return answer.json()

    def send(self, status: int = 201, key: str | None = None, **order: Any) -> Any:
        headers = {} if key is None else {"Idempotency-Key": key}
        answer = self.http.post("/session/orders", json=order, headers=headers)
        assert answer.status_code == status, answer.text
        if answer.is_success:
            schemas_trading.OrderCommandAnswer.model_validate(answer.json())
        return answer.json()
