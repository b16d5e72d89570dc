"""What waits for a stream client is bounded in bytes, whatever it is and whoever makes it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from app.api.clients import ENTRY_BYTES, FEW, Client, Frame
from app.api.frames import CODECS
from app.api.messages import Subscription
from app.managers.system_manager import State
from tests.api.conftest import Fake
from tests.api.fake_manager import FakeSession, bar_window
from tests.api.talk import close_of, slices_of, talk, talk_little
from tests.api.test_slow_clients import SLICES, WINDOWS, playing

LIMIT = 2**16


def with_client(act: Callable[[Client, list[bool]], None], lossless: bool = True) -> Client:
    """A client of its own loop, and the levels that it told of."""

    async def run() -> Client:
        levels: list[bool] = []
        one = Client(CODECS["json"], LIMIT, lambda _, full: levels.append(full), lambda *_: None)
        one.subscription = Subscription((), True, None, lossless, 0.1)
        act(one, levels)
        return one

    return asyncio.run(run())


def test_answers_and_news_are_cut_off_at_the_limit() -> None:
    for size in (0, 100, 5000):
        for lossless in (True, False):
            took = 0

            def fill(one: Client, _: list[bool], size: int = size) -> None:
                nonlocal took
                while not one.cut.done():
                    one.say(b"x" * size)
                    took += size + ENTRY_BYTES

            one = with_client(fill, lossless)
            code, reason = one.cut.result()
            assert (code, f"more than {LIMIT} bytes wait" in reason) == (1013, True)
            assert LIMIT < took <= LIMIT + size + ENTRY_BYTES


def test_a_few_frames_may_be_as_large_as_they_are() -> None:
    """A snapshot of many symbols is one frame."""

    def fill(one: Client, levels: list[bool]) -> None:
        for _ in range(FEW):
            one.push(Frame(b"x" * 10 * LIMIT))
        assert (one.cut.done(), levels) == (False, [True]), "it holds, as any that is behind"
        one.push(Frame(b""))

    assert with_client(fill).cut.done()


def test_what_was_sent_counts_no_more() -> None:
    async def run() -> None:
        one = Client(CODECS["json"], LIMIT, lambda *_: None, lambda *_: None)
        for _ in range(1000):
            one.say(b"x" * 1000)
            assert len(await one.next_frame()) == 1000
            one.sent()
        assert not one.cut.done()
        assert one.is_idle

    asyncio.run(run())


def test_seeks_do_not_pile_snapshots_up_for_a_client_that_reads_nothing(impatient: Fake) -> None:
    """No slice is delivered, so nothing holds, and nobody's patience runs out."""
    names = [f"S{number:03}" for number in range(100)]
    session = impatient.start(symbols=names, start_paused=True)
    session.deliver(bar_window(1, 1, symbols=100))
    with talk_little(impatient.url) as slow, talk(impatient.url) as good:
        slow.subscribe("bars_1m")
        good.subscribe("bars_1m")
        epoch = 1
        while len(impatient.server._server._services.hub.clients) == 2:
            epoch += 1
            assert epoch < 2000, "it is never cut off"
            session.begin_epoch(epoch, 1)
            while good.until("snapshot")[-1]["epoch"] < epoch:
                pass
        assert close_of(slow)[1] == 1013
        session.become(State.RUNNING)
        good.until("status")


def test_memory_stays_where_slow_clients_hold(impatient: Fake) -> None:
    """Of 20 MB of frames a client's queue and those of what waits for the loop hold a part."""
    session: FakeSession = impatient.start()
    hub = impatient.server._server._services.hub
    most = 0
    with talk_little(impatient.url) as slow:
        slow.subscribe("bars_1m")
        (client,) = hub.clients
        with playing(session) as player:
            while player.is_alive():
                most = max(most, client._load.bytes)
                player.join(0.005)
        session.become(State.COMPLETED, "end")
        frames, code, _ = close_of(slow)
    assert code == 1013
    assert LIMIT < most < 8 * 2**20, "the limit, and what was on its way when it was reached"
    assert sum(len(frame["seqs"]) for frame in slices_of(frames)) < WINDOWS * SLICES
