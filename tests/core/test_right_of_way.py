"""A replay gives way to calls that are being answered, and goes on for half of the time."""

from __future__ import annotations

from pathlib import Path
from threading import Event, current_thread

import pytest

from app.managers.right_of_way import LEAST_S, MOST_S, GiveWay, GivingPool, RightOfWay
from app.managers.system_manager import SessionConfig, SystemManager
from tests.core.harness import DAY1, DAY2, FAST, run, session_bars, write


class Road(RightOfWay):
    """Time passes where the test says so, and while somebody waits: as long as he may."""

    def __init__(self, answered_after_s: float = 1e9) -> None:
        super().__init__()
        self.now_s = 0.0
        self.waits_s: list[float] = []
        self._answered_after_s = answered_after_s

    def wait_free(self, most_s: float) -> None:
        waited_s = min(most_s, self._answered_after_s)
        self.waits_s.append(waited_s)
        self.now_s += waited_s


def test_without_calls_nobody_waits_or_asks_the_time() -> None:
    road = Road()
    asked: list[float] = []

    def now_s() -> float:
        asked.append(0.0)
        return 0.0

    give_way = GiveWay(road, now_s)
    before = len(asked)
    for _ in range(1000):
        give_way()
    road.enter()
    road.leave()
    give_way()
    assert road.waits_s == []
    assert len(asked) == before


def test_it_waits_until_the_last_call_is_answered() -> None:
    road = Road(answered_after_s=0.02)
    give_way = GiveWay(road, lambda: road.now_s)
    road.enter()
    road.enter()
    road.leave()
    give_way()
    assert road.waits_s == [0.02]
    road.leave()
    give_way()
    assert road.waits_s == [0.02]


@pytest.mark.parametrize("work_s", [0.0005, 0.002, 0.05, 1.0])
def test_a_flood_of_calls_leaves_it_half_of_the_time(work_s: float) -> None:
    road = Road()
    give_way = GiveWay(road, lambda: road.now_s)
    road.enter()  # and never answered
    worked_s = 0.0
    while worked_s < 20.0:
        give_way()
        road.now_s += work_s
        worked_s += work_s
    assert min(road.waits_s) >= LEAST_S
    assert max(road.waits_s) <= MOST_S + 1e-9
    assert sum(road.waits_s) <= worked_s + MOST_S + 1e-6
    if work_s <= MOST_S:  # and no more of it: what it may wait, it does
        assert sum(road.waits_s) == pytest.approx(worked_s, abs=2 * MOST_S)


def test_what_is_saved_up_while_nobody_calls_is_bounded() -> None:
    road = Road()
    give_way = GiveWay(road, lambda: road.now_s)
    road.now_s += 3600.0
    road.enter()
    give_way()
    give_way()
    assert road.waits_s == [pytest.approx(MOST_S)]


def test_threads_stand_aside_together() -> None:
    road = Road()
    waits_s: list[float] = []

    def wait_free(most_s: float) -> None:
        waits_s.append(most_s)
        if len(waits_s) == 1:  # another one comes meanwhile
            road.now_s += 0.03
            give_way()
            road.now_s += most_s - 0.03

    road.wait_free = wait_free  # type: ignore[method-assign]
    give_way = GiveWay(road, lambda: road.now_s)
    road.enter()
    give_way()
    assert waits_s == [MOST_S, pytest.approx(MOST_S - 0.03)]
    road.now_s += 0.002  # both went on for that long, and so they wait
    give_way()
    assert waits_s[2:] == [pytest.approx(0.002)]


def test_what_is_left_when_the_call_is_answered_is_kept() -> None:
    road = Road(answered_after_s=0.04)
    give_way = GiveWay(road, lambda: road.now_s)
    road.enter()
    give_way()
    road.now_s += 0.01
    road.wait_free = road.waits_s.append  # type: ignore[method-assign, assignment]
    give_way()
    assert road.waits_s == [0.04, pytest.approx(MOST_S - 0.04 + 0.01)]


def test_a_pools_threads_give_way() -> None:
    way = RightOfWay()
    waits = Event()
    way.wait_free = lambda most_s: waits.set()  # type: ignore[method-assign]
    pool = GivingPool(1, "Reader", GiveWay(way))
    try:
        assert pool.submit(divmod, 7, 2).result(60) == (3, 1)
        assert not waits.is_set()
        way.enter()
        assert pool.submit(divmod, 9, 2).result(60) == (4, 1)
        assert waits.is_set()
    finally:
        pool.shutdown()


@pytest.fixture
def catalog(tmp_path: Path) -> Path:
    for day in (DAY1, DAY2):
        for symbol in ("AAA", "BBB"):
            write(tmp_path, "bars_1m", symbol, day, session_bars(day))
    return tmp_path


@pytest.mark.parametrize("speed", [0.0, 1e6])
def test_a_replay_under_calls_that_never_end_plays_the_same(catalog: Path, speed: float) -> None:
    alone = run(catalog, end=str(DAY2)).status
    manager = SystemManager(str(catalog), FAST)
    waiters: set[str] = set()

    def wait_free(most_s: float) -> None:
        waiters.add(current_thread().name.rstrip("_0123456789"))
        Event().wait(min(most_s, 0.001))

    manager.right_of_way.wait_free = wait_free  # type: ignore[method-assign]
    manager.right_of_way.enter()
    try:
        span = SessionConfig(["*"], str(DAY1), str(DAY2), speed=speed)
        session = manager.start_session(span)
        assert session.wait(60), session.status()
        status = session.status()
    finally:
        manager.close()
    assert status.state == "COMPLETED"
    assert status.digest == alone.digest
    aside = {"CatalogReader", "DataUpkeepThread"}
    # At a speed the next slice has its time: the merge thread waits for nobody.
    assert waiters == (aside if speed else aside | {"BacktestStreamWorker"})
