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
from threading import Thread
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from app.errors import StateError
from app.managers.lifecycle import State
from app.managers.system_manager import ReplaySession
from app.runs.folder import RunFolder
from tests.core.harness import DAY1, DAY2, DAY3, MINUTE, open_ns
from tests.reliability.carried_out import (
    REMOTE,
    Cell,
    begun,
    die_on_the_way,
    killed_and_resumed,
    tables_of,
)
from tests.trading.whole.market import write_market
from tests.trading.whole.test_determinism import KINDS
from tests.trading.whole.test_seek import shown

ANSWER_S = 60
DIMENSIONS: dict[str, list[Any]] = {
    "hash_seed": [0, 1, 2],  # PYTHONHASHSEED of the process
    "speed": [0, 1_000_000, 200_000],
    "path": ["straight", "pauses", "steps", "seeks", "orders of commands"],
    "batch_rows": [16_384, 1, 7, 64],
    "buffer_rows": [1_000_000, 2, 500],
    "layout": ["a file a day", "a file a symbol", "one file"],
    "subscribers": list(KINDS),
    "record": ["kept", "none", "killed and resumed"],
    "execution": list(REMOTE),
}
# What cannot be told of a cell: without a record, and of a session whose process is gone.
UNTOLD = {"kept": (), "none": ("events", "tables"), "killed and resumed": ("seen",)}


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
    """The digests of items and events, and hashes of a run's tables and of all that a trader
    sees; None for what is ``UNTOLD``."""
    if cell["record"] == "killed and resumed":
        run: RunFolder | None = killed_and_resumed(cell, layouts, work)
        assert run is not None
        state, items, seen = str(run.manifest.state).upper(), run.manifest.digest, None
    else:
        with begun(cell, layouts / cell["layout"], work) as session:
            drive(cell, session)
            status, seen = session.status(), shown(session)
        assert status.error is None, status.error
        state, items = str(status.state), status.digest
        run = None if status.run is None else RunFolder(work / "runs" / status.run)
    return {
        "state": state, "items": items,
        "events": None if run is None else run.manifest.events_digest,
        "tables": None if run is None else tables_of(run),
        "seen": seen and sha256(json.dumps(seen, sort_keys=True).encode()).hexdigest(),
    }  # fmt: skip


def drive(cell: Cell, session: ReplaySession) -> None:
    with suppress(StateError):  # it came to its end on the way
        PATHS[cell["path"]](session, random.Random(cell.get("dice", 0)))
    _finish(session, cell["speed"])


def play_until_killed(cell: Cell, layouts: Path, work: Path) -> None:
    with begun(cell, layouts / cell["layout"], work) as session:
        dice = random.Random(cell.get("dice", 0))
        killer = Thread(target=die_on_the_way, args=(session, dice))
        killer.start()
        drive(cell, session)
        killer.join()


def main() -> None:
    """Cells from standard input, one JSON a line; what they came to, one JSON a line.

    With ``--dies`` none comes to anything: it is killed on its way.
    """
    layouts, work = map(Path, sys.argv[1:3])
    work.mkdir(parents=True, exist_ok=True)
    for number, line in enumerate(sys.stdin):
        if sys.argv[3:] == ["--dies"]:
            play_until_killed(json.loads(line), layouts, work / str(number))
        found = play_cell(json.loads(line), layouts, work / str(number))
        sys.stdout.write(json.dumps(found) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
