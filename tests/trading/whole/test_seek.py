"""A session that trades goes anywhere in time: account, orders and fills go along."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.api.answers_trading import (
    account_body,
    fill_body,
    order_body,
    position_body,
    signal_body,
)
from app.errors import RequestError, StateError
from app.managers.data_manager.backtest_stream_coordinator import get_coordinator
from app.managers.lifecycle import State
from app.managers.system_manager import ReplaySession, SystemManager
from app.managers.system_manager.plan import TradingPlan, session_config
from app.runs.store import RunStore
from app.trading.config import read_config_file
from app.trading.events import MANUAL, CancelRequestEvent, EventBase, OrderRequestEvent
from app.trading.orders import Order, OrderType, Side
from tests.core.harness import DAY1, DAY2, DAY3, FAST, MINUTE, SECOND, open_ns
from tests.trading.whole.market import write_market
from tests.trading.whole.test_determinism import config

OPEN1, OPEN2 = open_ns(DAY1), open_ns(DAY2)


class Market:
    """A catalog, a configuration, and sessions of them."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.catalog = write_market(root / "market", seed=3)
        self._path = root / "run.yaml"
        self._path.write_text(json.dumps(config("inline")), "utf-8")
        self._known: dict[tuple[Any, ...], dict[str, Any]] = {}

    @contextmanager
    def session(self, store: RunStore | None = None, speed: float = 0) -> Iterator[ReplaySession]:
        file = read_config_file(self._path)
        plan = TradingPlan(file.config, file.folder, store, report=False, watched=True)
        manager = SystemManager(str(self.catalog), FAST)
        try:
            yield manager.start_session(session_config(file.config, speed, True), plan)
        finally:
            manager.close()

    def straight(self, target_ns: int, *orders: tuple[int, float]) -> dict[str, Any]:
        """What a straight run to a time shows, with orders sent at their times on the way."""
        key = (target_ns, *orders)
        if key not in self._known:
            with self.session() as session:
                for time_ns, quantity in orders:
                    session.run_to(time_ns).result(10)
                    buy(session, quantity)
                session.run_to(target_ns).result(10)
                self._known[key] = shown(session)
        return self._known[key]


@pytest.fixture(scope="module")
def market(tmp_path_factory: pytest.TempPathFactory) -> Market:
    return Market(tmp_path_factory.mktemp("seek"))


def buy(session: ReplaySession, quantity: float) -> str:
    """A market order for AAA, from outside."""
    ids: list[str] = []

    def make(now_ns: int) -> EventBase:
        desk = session.desk
        assert desk is not None
        ids.extend(desk.number_orders(1))
        order = Order(
            order_id=ids[0], strategy_id=MANUAL, symbol="AAA", side=Side.BUY,
            type=OrderType.MARKET, quantity=quantity, created_ns=now_ns,
        )  # fmt: skip
        return OrderRequestEvent(ts_event_ns=now_ns, strategy_id=MANUAL, orders=(order,))

    session.trade(make).result(10)
    return ids[0]


def shown(session: ReplaySession) -> dict[str, Any]:
    """All that can be read of an engine but the id of its record, and the digest of the data."""
    found = session.look()
    assert found is not None
    desk, view, settled = found
    account = account_body(desk, settled)
    account.pop("run", None)
    return {
        "time": view.now_ns, "seq": view.seq, "digest": view.digest, "account": account,
        "orders": [order_body(one) for one in settled.orders()],
        "fills": [fill_body(one) for one in settled.fills()],
        "positions": [position_body(one) for one in settled.positions(closed=True)],
        "signals": [signal_body(one) for one in settled.signals()],
    }  # fmt: skip


def test_orders_from_outside_are_kept_or_cut(market: Market) -> None:
    early, later, target = OPEN1 + 5 * MINUTE, OPEN1 + 20 * MINUTE, OPEN1 + 12 * MINUTE
    end, found = OPEN2 + 30 * MINUTE, []
    with market.session() as session:
        session.run_to(early).result(10)
        assert buy(session, 7) == "manual-1"
        session.run_to(later).result(10)
        assert buy(session, 9) == "manual-2"
        session.step("day", 1).result(10)
        session.seek(target).result(10)
        assert session.view().epoch == 2
        found.append(shown(session))
        (cut,) = session.journal.cuts
        assert (cut.epoch, cut.place.now_ns) == (2, target)
        assert [sent.place.now_ns for sent in session.journal.sent] == [early]
        assert [sent.place.now_ns for sent in cut.sent] == [later]
        session.run_to(later).result(10)
        assert buy(session, 3) == "manual-2", "numbers of what was cut off are free again"
        for time_ns in (end, later, early - SECOND):  # sent at ``later`` exactly: kept
            session.seek(time_ns).result(10)
            found.append(shown(session))
        assert session.journal.sent == []
    assert found == [
        market.straight(target, (early, 7)),
        market.straight(end, (early, 7), (later, 3)),
        market.straight(later, (early, 7), (later, 3)),
        market.straight(early - SECOND),
    ]


def test_orders_sent_at_a_days_ends_come_again_there(market: Market) -> None:
    """Before the first slice, on a day's end, and just before the next day."""

    def play(session: ReplaySession) -> None:
        buy(session, 1)
        session.step("day", 1).result(10)
        buy(session, 2)
        session.seek(OPEN2 - 1).result(10)
        buy(session, 3)

    found = []
    for back in (False, True):
        with market.session() as session:
            play(session)
            if back:
                session.seek(OPEN2 + 40 * MINUTE).result(10)
                session.seek(OPEN2 + 10 * MINUTE).result(10)
                assert [s.place.over for s in session.journal.sent] == [False, True, False]
            else:
                session.run_to(OPEN2 + 10 * MINUTE).result(10)
            found.append(shown(session))
    assert found[0] == found[1]
    assert len(found[0]["orders"]) > 3


def test_until_the_next_fill(market: Market) -> None:
    with market.session() as session:
        first = session.run_until("fill").result(10)
        fills = shown(session)["fills"]
        assert {f["time"] for f in fills} == {fills[0]["time"]}
        assert first.state == "PAUSED"
        second = session.run_until("fill").result(10)
        assert second.time_ns > first.time_ns
        assert len(shown(session)["fills"]) > len(fills)
        session.seek(first.time_ns).result(10)
        assert shown(session)["fills"] == fills
        assert session.run_until("fill").result(10).time_ns == second.time_ns
    assert market.straight(first.time_ns)["fills"] == fills


TIMES = st.builds(
    lambda day, second: open_ns(day) + second * SECOND,
    st.sampled_from([DAY1, DAY2, DAY3]), st.integers(0, 55 * 60),
)  # fmt: skip
MOVES = st.one_of(
    st.tuples(st.just("seek"), TIMES),
    st.tuples(st.sampled_from(["slice", "bar"]), st.integers(1, 30)),
    st.tuples(st.sampled_from(["day", "fill"]), st.just(1)),
    st.tuples(st.just("buy"), st.integers(1, 9)),
)


@settings(max_examples=6, deadline=None, suppress_health_check=[*HealthCheck])
@given(st.lists(MOVES, min_size=2, max_size=5), TIMES)
def test_any_path(market: Market, moves: list[tuple[str, int]], target_ns: int) -> None:
    with market.session() as session:
        for name, value in moves:
            if session.state is State.COMPLETED:
                session.seek(OPEN2).result(10)
            if name == "seek":
                session.seek(value).result(10)
            elif name == "fill":
                session.run_until("fill").result(10)
            elif name == "buy":
                buy(session, value)
            else:
                session.step(name, value).result(10)  # type: ignore[arg-type]
        session.seek(target_ns).result(10)
        found = shown(session)
        sent = list(session.journal.sent)
    # A straight run with what was kept, sent where it took effect.
    with market.session() as session:
        for one in sent:
            get_coordinator().seek(one.place).result(10)
            buy(session, one.event.orders[0].quantity)  # type: ignore[attr-defined]
        session.seek(target_ns).result(10)
        expected = shown(session)
    assert found == expected


def test_a_recorded_run_restarts_its_record(market: Market, tmp_path: Path) -> None:
    store = RunStore(tmp_path / "runs")
    with market.session(store) as session:
        session.run_to(OPEN1 + 30 * MINUTE).result(10)
        buy(session, 5)
        first = session.status().run
        session.run_to(OPEN2 + 5 * MINUTE).result(10)
        session.seek(OPEN1 + 40 * MINUTE).result(10)
        second = session.status().run
        session.resume().result(10)
        assert session.wait(20)
        assert session.status().state == "COMPLETED"
        session.seek(OPEN2).result(10)
        third = session.status().run
    with market.session(store) as session:
        session.run_to(OPEN1 + 30 * MINUTE).result(10)
        buy(session, 5)
        session.resume().result(10)
        assert session.wait(20)
        straight = session.status().run
    assert first is not None
    assert second is not None
    assert third is not None
    assert straight is not None
    assert len({first, second, third, straight}) == 4
    found = [store.open(run).manifest for run in (first, second, third, straight)]
    assert [one.state for one in found] == ["stopped", "completed", "stopped", "completed"]
    assert found[0].cause is not None
    assert "a seek to 2013-10-04T14:10:00Z" in found[0].cause
    assert found[1].events_digest == found[3].events_digest
    assert (found[1].digest, found[1].events) == (found[3].digest, found[3].events)


def test_what_a_seek_does_not_take(market: Market) -> None:
    with market.session() as session:
        session.run_to(OPEN1 + 30 * MINUTE).result(10)
        with pytest.raises(RequestError, match="past"):
            session.run_to(OPEN1).result(10)
        session.stop()
        with pytest.raises(StateError, match="STOPPED"):
            session.seek(OPEN1)


def test_commands_and_orders_in_a_tight_loop(market: Market) -> None:
    dice = random.Random(5)
    with market.session(speed=1e6) as session:
        acts: list[Callable[[], Any]] = [
            session.pause, session.resume, lambda: buy(session, 1),
            lambda: session.set_speed(dice.choice([0, 600, 1e6])),
            lambda: session.seek(OPEN1 + dice.randrange(50) * MINUTE),
            lambda: session.run_until("fill"),
            lambda: session.trade(lambda now_ns: CancelRequestEvent(
                ts_event_ns=now_ns, strategy_id=MANUAL, order_id="manual-1")),
        ]  # fmt: skip
        for _ in range(40):
            try:
                future = dice.choice(acts)()
                if dice.random() < 0.4 and not isinstance(future, str):
                    future.result(20)
            except (StateError, RequestError):
                pass
        session.seek(OPEN1 + 10 * MINUTE).result(20)
        assert (session.state, session.view().now_ns) == (State.PAUSED, OPEN1 + 10 * MINUTE)
