"""The client of a session that trades, against the server itself."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import UTC, date, datetime

import pytest

from app.client import AsyncTapedeck, ServerProblem, Tapedeck
from tests.api.trading_place import CASH, SHARES, TO_OPEN, Place


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    place = Place(tmp_path_factory.mktemp("client"))
    yield str(place.http.base_url)
    place.close()


def test_a_session_that_trades(url: str) -> None:
    with Tapedeck(url) as deck:
        session = deck.start_trading(
            "live.yaml", ["backtest.name=told"], speed=0, start_paused=True, record=True
        )
        assert session.run is not None
        assert session.run.startswith("told-")
        assert deck.plan().trades
        assert deck.configs().configs == ["live.yaml"]
        deck.step("bar", TO_OPEN + 10)
        account = deck.account()
        assert (account.run, account.cash, account.halts) == (session.run, CASH, [])
        assert account.time == datetime(2013, 10, 7, 13, 40, tzinfo=UTC)
        assert [p.quantity for p in deck.positions(symbol="BAC", which="all").positions] == [SHARES]
        assert [f.order for f in deck.fills(strategy="once", limit=5).fills] == ["once-s1"]
        assert [s.outcome for s in deck.signals(limit=1).signals] == ["not_shortable"]
        sent = deck.send_order(
            "BAC", "buy", 10, "limit", limit_price=19.6, stop_loss=19, tag="t", idempotency_key="k"
        )
        assert sent.command is not None
        assert sent.command.time_ns == sent.time_ns == account.time_ns
        assert (sent.order.id, sent.order.ended, sent.exits[0].role) == (
            "manual-1", False, "stop_loss",
        )  # fmt: skip
        deck.step("bar")
        (reason,) = deck.why("manual-1", limit=1).slices
        assert (reason.code, reason.time.minute) == ("limit_only_touched", 41)
        assert [o.id for o in deck.orders(state="open").orders] == ["manual-1", "manual-2"]
        assert deck.cancel_order("manual-1").order.state == "cancelled"
        again = deck.order("manual-1", after=0)
        assert [step.state for step in again.order.history][-1] == "cancelled"
        with pytest.raises(ServerProblem, match="manual-1 is cancelled") as refused:
            deck.cancel_order("manual-1")
        assert refused.value.status == 409
        equity = deck.account().equity
        deck.stop()
        curve = deck.run_equity(session.run, points=100)
        assert (curve.id, curve.equity[-1]) == (session.run, equity)
        assert curve.rows >= len(curve.times) == len(curve.equity) == len(curve.drawdown) > 0
        assert curve.times[0] <= account.time
        (made,) = curve.days
        assert made.day == date(2013, 10, 7)
        assert made.pnl == pytest.approx(equity - curve.initial_cash)


def test_async(url: str) -> None:
    async def ask() -> str | None:
        async with AsyncTapedeck(url) as deck:
            await deck.start_trading("live.yaml", start_paused=True, record=False)
            sent = await deck.send_order("BAC", "sell", 0.5)
            assert (await deck.plan()).trades
            assert (await deck.configs()).configs == ["live.yaml"]
            await deck.stop()
            return sent.order.code

    assert asyncio.run(ask()) == "not_shortable"
