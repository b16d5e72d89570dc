"""Same input, same bytes: the digest over everything that must not matter."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from app.errors import StateError
from app.managers.data_manager.commands import Unit
from app.managers.lifecycle import State
from app.managers.system_manager import ReplaySession, SessionDefaults
from tests.core.harness import (
    DAY1,
    DAY2,
    FAST,
    MINUTE,
    SECOND,
    FakeWall,
    Recorder,
    Row,
    bar,
    open_ns,
    open_session,
    quote,
    run,
    table,
    trade,
    with_rows,
    write,
)

DAYS = (DAY1, DAY2)
SYMBOLS = ("AAA", "BBB", "CCC")
RANGE: dict[str, Any] = {"start": str(DAY1), "end": str(DAY2), "history_days": 0}


def _rows(dataset: str, symbol: str) -> dict[object, list[Row]]:
    """Seeded rows with equal times, gaps, pre-market, late rows and duplicates, by day."""
    dice = random.Random(f"{dataset} {symbol}")
    found: dict[object, list[Row]] = {}
    for day in DAYS:
        start = open_ns(day) - 20 * MINUTE
        if dataset == "bars_1m":
            minutes = sorted(dice.sample(range(420), 200))
            rows = [
                bar(start + m * MINUTE, dice.uniform(5, 15), dice.randint(1, 900)) for m in minutes
            ]
            rows.insert(50, rows[49])  # a duplicate
        else:
            seconds = sorted(dice.choices(range(25_000), k=400))
            make = trade if dataset == "trades" else quote
            rows = [make(start + s * SECOND, round(dice.uniform(5, 15), 2)) for s in seconds]
            rows[100], rows[300] = rows[300], rows[100]  # a late one
            for row in rows[::7]:
                row["exchange"] = dice.choice("ABCDE")
        found[day] = rows
    return found


@pytest.fixture(scope="module")
def catalog(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("by_day")
    for dataset in ("bars_1m", "trades", "quotes"):
        for symbol in SYMBOLS:
            for day, rows in _rows(dataset, symbol).items():
                write(root, dataset, symbol, str(day), rows)
    return root


@pytest.fixture(scope="module")
def truth(catalog: Path) -> str:
    result = run(catalog, **RANGE)
    assert result.status.progress.items_delivered > 3000
    discarded = result.status.discarded
    assert min(discarded["late"], discarded["duplicate"], discarded["before_hours"]) > 0
    return result.status.digest


@pytest.mark.parametrize("rows", [1, 7, 64, 8192])
def test_batch_sizes(catalog: Path, truth: str, rows: int) -> None:
    assert run(catalog, with_rows(rows), **RANGE).status.digest == truth


@pytest.mark.parametrize("bound", [1, 100, 5000])
def test_queue_bounds(catalog: Path, truth: str, bound: int) -> None:
    defaults = replace(FAST, buffer_rows=bound, read_rows=50)
    assert run(catalog, defaults, **RANGE).status.digest == truth


def test_speed(catalog: Path, truth: str) -> None:
    assert run(catalog, replace(FAST, speed=100_000), **RANGE).status.digest == truth
    with open_session(catalog, replace(FAST, speed=360), wall=FakeWall(), **RANGE) as opened:
        assert opened.session.wait(60)
        assert opened.session.status().digest == truth


@pytest.mark.parametrize("seed", range(5))
def test_pauses_and_steps_at_random(catalog: Path, truth: str, seed: int) -> None:
    dice = random.Random(seed)
    with open_session(catalog, start_paused=True, **RANGE) as (_, _, session):
        with suppress(StateError):  # the session ended between two commands
            while not session.ended:
                _random_command(session, dice)
        assert session.state is State.COMPLETED
        assert session.status().digest == truth


def _random_command(session: ReplaySession, dice: random.Random) -> None:
    unit = dice.choices(list(Unit), [20, 20, 1])[0]
    session.step(unit.value, dice.randint(1, 200)).result(20)
    if dice.random() < 0.3:
        session.set_speed(dice.choice([0, 1, 1000, 1e6])).result(20)
        session.resume().result(20)
        session.pause().result(20)


@pytest.fixture(scope="module")
def layouts(catalog: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The same rows as a file a symbol, and as one sorted file of all symbols."""
    by_symbol = tmp_path_factory.mktemp("by_symbol")
    in_one = tmp_path_factory.mktemp("in_one")
    for dataset in ("bars_1m", "trades", "quotes"):
        everything = []
        for symbol in SYMBOLS:
            rows = [row for day in _rows(dataset, symbol).values() for row in day]
            path = by_symbol / dataset / f"symbol={symbol}" / "all.parquet"
            path.parent.mkdir(parents=True)
            pq.write_table(table(rows), path, row_group_size=150)
            named = table(rows).append_column("symbol", pa.array([symbol] * len(rows)))
            everything.append(named)
        (in_one / dataset).mkdir()
        pq.write_table(
            pa.concat_tables(everything), in_one / dataset / "all.parquet", row_group_size=170
        )
    return {"a file a symbol": by_symbol, "one sorted file": in_one}


@pytest.mark.parametrize("layout", ["a file a symbol", "one sorted file"])
@pytest.mark.parametrize("rows", [1, 100, 8192])
def test_file_layouts(layouts: dict[str, Path], truth: str, layout: str, rows: int) -> None:
    assert run(layouts[layout], with_rows(rows), **RANGE).status.digest == truth


@pytest.mark.parametrize("seed", [0, 1, 2, 3, 4])
def test_pythonhashseed(catalog: Path, truth: str, seed: int) -> None:
    code = (
        "import sys; from pathlib import Path; from tests.core.harness import run\n"
        f"print(run(Path(sys.argv[1]), **{RANGE!r}).status.digest)"
    )
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-c", code, str(catalog)], cwd=root, check=True, text=True,
        capture_output=True, env={**os.environ, "PYTHONHASHSEED": str(seed)},
    )  # fmt: skip
    assert done.stdout.strip() == truth


@pytest.mark.parametrize("window_rows", [None, 1, 100])
def test_with_and_without_consumers(catalog: Path, truth: str, window_rows: int | None) -> None:
    recorder = Recorder(window_rows)
    with open_session(catalog, recorder=recorder, start_paused=True, **RANGE) as (_, _, session):
        session.attach(Holding(session.wake))
        session.resume().result(10)
        assert session.wait(60)
        assert session.status().digest == truth
        assert len(recorder.items) == session.status().progress.items_delivered


class Holding(Recorder):
    """Holds the clock at every third question, until a thread of its own lets it go."""

    def __init__(self, wake: Callable[[], None]) -> None:
        super().__init__()
        self._wake = wake
        self._asked = 0

    def holding(self) -> float | None:
        self._asked += 1
        if self._asked % 3:
            return None
        threading.Thread(target=self._wake).start()
        return 5.0


@pytest.mark.parametrize("delay_s", [0.0, 0.002])
def test_slow_and_fast_upkeep(catalog: Path, truth: str, delay_s: float) -> None:
    dice = random.Random(3)  # delays at random are what is tested: none may matter
    with open_session(
        catalog, with_rows(64), before_upkeep=lambda: time.sleep(dice.random() * delay_s), **RANGE
    ) as (_, _, session):
        assert session.wait(60)
        assert session.status().digest == truth


def test_a_changed_value_changes_the_digest(catalog: Path, truth: str, tmp_path: Path) -> None:
    """The check can fail: one price, one size, one text, one time."""
    changes: list[Row] = [{"price": 5.0}, {"size": 99}, {"exchange": "Z"}, {"suspicious": True}]
    for number, change in enumerate(changes):
        root = tmp_path / str(number)
        write(root, "trades", "AAA", DAY2, [trade(open_ns(DAY2) + 1), trade(open_ns(DAY2) + 2)])
        plain = run(root, start=str(DAY2), end=str(DAY2)).status.digest
        other = [trade(open_ns(DAY2) + 1), trade(open_ns(DAY2) + 2) | change]
        write(root, "trades", "AAA", DAY2, other)
        assert run(root, start=str(DAY2), end=str(DAY2)).status.digest not in (plain, truth)


def test_two_sessions_in_a_row_do_not_mix(catalog: Path, truth: str) -> None:
    assert run(catalog, SessionDefaults(speed=0, read_rows=33), **RANGE).status.digest == truth
    assert run(catalog, SessionDefaults(speed=0, history_days=3), **RANGE).status.digest == truth
