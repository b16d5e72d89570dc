"""One session that trades, carried out in every way that must not matter.

A cell is one way: a value of each dimension. ``DIMENSIONS`` is the place to add one to: a name,
its values, and in ``play_cell`` what it changes.
"""

from __future__ import annotations

import json
import random
import sys
from collections.abc import Callable
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from app.errors import StateError
from app.managers.lifecycle import State
from app.managers.system_manager import ReplaySession, SessionDefaults, SystemManager
from app.managers.system_manager.plan import TradingPlan, session_config
from app.runs.store import RunStore
from app.trading.config import read_config_file
from tests.core.harness import DAY1, DAY2, DAY3, MINUTE, open_ns
from tests.trading.whole.market import write_market
from tests.trading.whole.test_determinism import KINDS, config
from tests.trading.whole.test_seek import shown

Cell = dict[str, Any]
ANSWER_S = 60
DIMENSIONS: dict[str, list[Any]] = {
    "hash_seed": [0, 1, 2],  # PYTHONHASHSEED of the process
    "speed": [0, 1_000_000, 200_000],
    "path": ["straight", "pauses", "steps", "seeks", "orders of commands"],
    "batch_rows": [16_384, 1, 7, 64],
    "buffer_rows": [1_000_000, 2, 500],
    "layout": ["a file a day", "a file a symbol", "one file"],
    "subscribers": list(KINDS),
    "recording": [True, False],
    # How it is carried out: "killed and resumed" and "over the network" have their place here.
    "execution": ["inside"],
}


def cells(count: int, seed: int) -> list[Cell]:
    """The plain cell, then others at random; every value of each dimension is in the first few."""
    dice = random.Random(seed)
    found = [{name: values[0] for name, values in DIMENSIONS.items()}]
    orders: dict[str, list[Any]] = {}
    for number in range(count - 1):
        cell = {}
        for name, values in DIMENSIONS.items():
            if number % len(values) == 0:
                orders[name] = dice.sample(values, len(values))
            cell[name] = orders[name][number % len(values)]
        found.append(cell | {"dice": dice.randrange(10**6)})
    return found


# -- the catalog, laid out in several ways -------------------------------------------------


def write_layouts(root: Path) -> None:
    """A small busy market, in every layout, below ``root``."""
    days = write_market(root / "a file a day", seed=5)
    for dataset in ("bars_1m", "trades", "quotes"):
        everything = []
        for folder in sorted((days / dataset).iterdir()):
            files = sorted(folder.iterdir())
            rows = pa.concat_tables(pq.read_table(file, partitioning=None) for file in files)
            path = root / "a file a symbol" / dataset / folder.name / "all.parquet"
            path.parent.mkdir(parents=True)
            pq.write_table(rows, path, row_group_size=37)
            symbol = folder.name.removeprefix("symbol=")
            everything.append(rows.append_column("symbol", pa.array([symbol] * len(rows))))
        path = root / "one file" / dataset / "all.parquet"
        path.parent.mkdir(parents=True)
        pq.write_table(pa.concat_tables(everything), path, row_group_size=41)


# -- ways through a session ----------------------------------------------------------------


def _finish(session: ReplaySession, speed: float) -> None:
    with suppress(StateError):  # it ended meanwhile, or runs already
        session.set_speed(speed).result(ANSWER_S)
        session.resume().result(ANSWER_S)
    assert session.wait(ANSWER_S), session.status()


def _pauses(session: ReplaySession, dice: random.Random) -> None:
    for _ in range(12):
        session.resume().result(ANSWER_S)
        session.set_speed(dice.choice([0, 60, 100_000])).result(ANSWER_S)
        session.pause().result(ANSWER_S)


def _steps(session: ReplaySession, dice: random.Random) -> None:
    while session.state is State.PAUSED:
        unit: Any = dice.choices(["slice", "bar", "day"], [6, 3, 1])[0]
        session.step(unit, 1 if unit == "day" else dice.randint(1, 40)).result(ANSWER_S)


def _seeks(session: ReplaySession, dice: random.Random) -> None:
    for _ in range(4):
        day = dice.choice([DAY1, DAY2, DAY3])
        session.seek(open_ns(day) + dice.randrange(60 * MINUTE)).result(ANSWER_S)


def _anything(session: ReplaySession, dice: random.Random) -> None:
    for _ in range(6):
        dice.choice([_pauses, _seeks])(session, dice)
        session.step("slice", dice.randint(1, 20)).result(ANSWER_S)


PATHS: dict[str, Callable[[ReplaySession, random.Random], None]] = {
    "straight": lambda *_: None, "pauses": _pauses, "steps": _steps, "seeks": _seeks,
    "orders of commands": _anything,
}  # fmt: skip


# -- one cell ------------------------------------------------------------------------------


def play_cell(cell: Cell, layouts: Path, work: Path) -> dict[str, Any]:
    """The digests of items and events (where recorded), and a hash of all that a trader sees."""
    work.mkdir()
    path = work / "run.yaml"
    path.write_text(json.dumps(config(cell["subscribers"])), "utf-8")
    file = read_config_file(path)
    store = RunStore(work / "runs") if cell["recording"] else None
    plan = TradingPlan(file.config, file.folder, store, report=False, watched=True)
    defaults = SessionDefaults(
        speed=0, read_rows=cell["batch_rows"], buffer_rows=cell["buffer_rows"]
    )
    manager = SystemManager(str(layouts / cell["layout"]), defaults)
    try:
        session = manager.start_session(session_config(file.config, 0, True), plan)
        with suppress(StateError):  # it came to its end on the way
            PATHS[cell["path"]](session, random.Random(cell.get("dice", 0)))
        _finish(session, cell["speed"])
        status, seen = session.status(), shown(session)
    finally:
        manager.close()
    assert status.error is None, status.error
    run = None if store is None else store.open(str(status.run)).manifest
    return {
        "state": str(status.state), "items": status.digest,
        "events": None if run is None else run.events_digest,
        "seen": sha256(json.dumps(seen, sort_keys=True).encode()).hexdigest(),
    }  # fmt: skip


def main() -> None:
    """Cells from standard input, one JSON a line; what they came to, one JSON a line."""
    layouts, work = map(Path, sys.argv[1:])
    for number, line in enumerate(sys.stdin):
        found = play_cell(json.loads(line), layouts, work / str(number))
        sys.stdout.write(json.dumps(found) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
