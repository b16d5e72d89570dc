"""A view is encoded once for all who ask for the same symbols."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import date
from threading import Event
from types import SimpleNamespace
from typing import Any, cast

import pytest

from app.api.answers import dump_json
from app.api.data_views import DataViews
from app.errors import NotFoundError
from app.managers.system_manager import ReplaySession
from app.managers.system_manager.answers import Summary, SymbolSummary
from app.managers.time_manager import View
from app.model import Dictionary, StreamType
from app.times import MINUTE_NS, SECOND_NS

NOON_NS = 28_000_000 * MINUTE_NS


class FakeSession:
    """Says of its symbols how often it was asked."""

    id = "s1"
    days = (SimpleNamespace(date=date(2024, 3, 4)),)

    def __init__(self, symbols: int = 3) -> None:
        self.state = "RUNNING"
        self.symbols = tuple(f"S{i:04d}" for i in range(symbols))
        self.shown = View(1, 7, 0, NOON_NS, "")
        self.asked = 0
        self.may_answer = Event()
        self.may_answer.set()

    def view(self) -> View:
        return self.shown

    def integral(self, symbol: str, kind: StreamType) -> bool:
        return False

    def summary(self, symbols: Sequence[str] | None) -> Summary:
        self.asked += 1
        view = self.shown
        assert self.may_answer.wait(60)
        names = self.symbols if symbols is None else symbols
        if "NONE" in names:
            raise NotFoundError("this session has no symbol 'NONE'")
        last = float(self.asked)
        one = SymbolSummary(last, None, None, None, None, None, None, None, 0, None, None)
        return Summary(view, dict.fromkeys(names, one), Dictionary())


async def ask(views: DataViews, fake: FakeSession, names: list[str] | None = None) -> Any:
    view, body = await views.body(cast(ReplaySession, fake), names)
    assert view == fake.shown
    return body


@pytest.mark.parametrize("symbols", [3, 3000])  # the many are read on a thread
def test_all_who_ask_at_once_share_one_encoding(symbols: int) -> None:
    async def run() -> None:
        fake, views = FakeSession(symbols), DataViews()
        bodies = await asyncio.gather(*(ask(views, fake) for _ in range(20)))
        assert fake.asked == 1
        assert len({dump_json(body) for body in bodies}) == 1
        assert dump_json(bodies[0]).startswith(b'{"time":"2023-03-28T')
        await ask(views, fake, ["S0000"])
        assert fake.asked == 2

    asyncio.run(run())


def test_who_asks_while_one_is_read_shares_the_next_and_sees_no_older_view() -> None:
    """However fast the views change: twenty that ask at twenty views are two readings."""

    async def run() -> None:
        fake, views = FakeSession(3000), DataViews()
        fake.may_answer.clear()
        first = asyncio.create_task(views.body(cast(ReplaySession, fake), None))
        while not fake.asked:
            await asyncio.sleep(0)
        others = []
        for seq in range(8, 28):
            fake.shown = fake.shown._replace(seq=seq)
            others.append(asyncio.create_task(ask(views, fake)))
            await asyncio.sleep(0)
        fake.shown = fake.shown._replace(seq=28)
        others.append(asyncio.create_task(views.body(cast(ReplaySession, fake), None)))
        await asyncio.sleep(0)
        fake.may_answer.set()
        assert (await first)[0].seq == 7
        assert (await others[-1])[0].seq == 28
        await asyncio.gather(*others)
        assert fake.asked == 2

    asyncio.run(run())


@pytest.mark.parametrize(
    ("change", "again"),
    [
        ({"now_ns": NOON_NS + 59 * SECOND_NS}, False),  # between two slices: only the time
        ({"now_ns": NOON_NS + MINUTE_NS}, True),  # one more minute is expected
        ({"seq": 8}, True), ({"epoch": 2}, True),
    ],
)  # fmt: skip
def test_what_changed_is_encoded_anew(change: dict[str, Any], again: bool) -> None:
    async def run() -> None:
        fake, views = FakeSession(), DataViews()
        before = dump_json(await ask(views, fake))
        fake.shown = fake.shown._replace(**change)
        after = dump_json(await ask(views, fake))
        assert after != before
        assert fake.asked == 1 + again

    asyncio.run(run())


def test_what_fails_and_what_is_not_there_yet_is_not_kept() -> None:
    async def run() -> None:
        fake, views = FakeSession(), DataViews()
        for _ in range(2):
            with pytest.raises(NotFoundError):
                await ask(views, fake, ["NONE"])
        assert fake.asked == 2
        fake.state = "STARTING"
        await ask(views, fake)
        fake.state = "RUNNING"
        await ask(views, fake)
        assert fake.asked == 4

    asyncio.run(run())
