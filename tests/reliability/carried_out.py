"""How a session of the matrix is carried out: its strategies inside or in clients that play in
lockstep, its process left alive or killed and its run resumed."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any

from app.api.local import LocalServer
from app.managers.system_manager import ReplaySession, SessionDefaults, SystemManager
from app.managers.system_manager.plan import TradingPlan, session_config
from app.managers.system_manager.resume import ResumeJob, Resumption
from app.runs.folder import RunFolder
from app.runs.manifest import RunState
from app.runs.store import RunStore
from app.trading.config import read_config_file
from settings import load_settings
from tests.lockstep.played import Host, Player
from tests.reliability.deck import let_go
from tests.reliability.killed import came_to
from tests.trading.whole.test_determinism import STRATEGIES, config
from tests.until import until

Cell = dict[str, Any]
CLASSES = {"brackets": "Brackets", "reverting": "Reverting"}
REMOTE: dict[str, tuple[str, ...]] = {
    "inside": (),
    "one in lockstep": ("reverting",),
    "lockstep": ("brackets", "reverting"),
}
ROOT = Path(__file__).parents[2]
_TRIES = 5


@contextmanager
def begun(cell: Cell, catalog: Path, work: Path) -> Iterator[ReplaySession]:
    """The session of a cell, PAUSED; afterwards it has ended. Its runs are in ``work / "runs"``."""
    work.mkdir()
    shutil.copy(STRATEGIES, work / "busy.py")
    wish = config(cell["subscribers"])
    for strategy in wish["strategies"]:
        strategy["file"] = "busy.py"
    remote = REMOTE[cell["execution"]]
    if remote:  # what plays in lockstep is to be called inline
        wish["services"] = {**wish["services"], "strategy": "inline"}
    (work / "run.yaml").write_text(json.dumps(wish), "utf-8")
    way = _in_lockstep(cell, catalog, work, remote) if remote else _inside(cell, catalog, work)
    with way as session:
        yield session


@contextmanager
def _inside(cell: Cell, catalog: Path, work: Path) -> Iterator[ReplaySession]:
    file = read_config_file(work / "run.yaml")
    store = None if cell["record"] == "none" else RunStore(work / "runs")
    plan = TradingPlan(file.config, file.folder, store, report=False, watched=True)
    manager = _manager(cell, catalog)
    try:
        yield manager.start_session(session_config(file.config, 0, True), plan)
    finally:
        manager.close()


@contextmanager
def _in_lockstep(
    cell: Cell, catalog: Path, work: Path, remote: tuple[str, ...]
) -> Iterator[ReplaySession]:
    settings = load_settings(
        None, data_catalog_uri=str(catalog), tapedeck_port=0, tapedeck_runs_dir=work / "runs",
        tapedeck_configs_dir=work, lockstep_join_seconds=5,  # who is done does not come again
    )  # fmt: skip
    manager = _manager(cell, catalog)
    host = Host(LocalServer(manager, settings), work)
    try:
        clients = [
            Player(work / "busy.py", host.url, name, class_name=CLASSES[name]) for name in remote
        ]
        sets = [f"strategies.{name}.lockstep=true" for name in remote]
        recorded = cell["record"] != "none"
        host.start(config="run.yaml", set=sets, record=recorded, start_paused=True)
        assert manager.session is not None
        yield manager.session
        assert {client.ended() for client in clients} == {str(manager.session.state)}
    finally:
        host.close()


def _manager(cell: Cell, catalog: Path) -> SystemManager:
    rows = {"read_rows": cell["batch_rows"], "buffer_rows": cell["buffer_rows"]}
    return SystemManager(str(catalog), SessionDefaults(speed=0, **rows))


# -- killed, and resumed ---------------------------------------------------------------------------


def die_on_the_way(session: ReplaySession, dice: random.Random) -> None:
    """SIGKILL to this process somewhere in a session's course, or at its end. Blocks."""
    part, lag_s = dice.random(), dice.random() * 0.01
    until(
        lambda: session.status().progress.fraction >= part or session.ended,
        f"{part:.0%} of the session", every_s=0.001,
    )  # fmt: skip
    time.sleep(lag_s)  # anywhere between two of the looks: any moment is to be survived
    os.kill(os.getpid(), signal.SIGKILL)


def killed_and_resumed(cell: Cell, layouts: Path, work: Path) -> RunFolder:
    """The run of a cell whose process was killed in its middle, resumed."""
    for number in range(_TRIES):
        again = cell | {"dice": cell.get("dice", 0) + number}
        folder = work / str(number)
        command = [sys.executable, "-m", "tests.reliability.cells", str(layouts), str(folder)]
        done = subprocess.run(
            [*command, "--dies"], input=json.dumps(again), cwd=ROOT, text=True, check=False
        )
        assert done.returncode == -signal.SIGKILL, done.returncode
        run = _interrupted(folder / "0" / "runs")
        if run is not None:
            _resume(run, str(layouts / cell["layout"]))
            run = RunFolder(run.path)
            if run.manifest.state is not RunState.STOPPED:
                return run
            # A seek back had begun, which ends a run: resumed, it ends there too.
            assert str(run.manifest.cause).startswith("a seek to "), run.manifest
            assert '"seek"' in (run.path / "journal.jsonl").read_text("utf-8").splitlines()[-1]
    raise AssertionError(f"{_TRIES} kills met no run in its middle")


def _interrupted(runs: Path) -> RunFolder | None:
    store = RunStore(runs)
    try:
        store.mark_interrupted()
        found = store.list(state=RunState.INTERRUPTED)
        assert len(found) <= 1, found
        return store.open(found[0].id) if found else None
    finally:
        store.close()


def _resume(run: RunFolder, catalog: str) -> None:
    runs = run.path.parent
    settings = load_settings(None, data_catalog_uri=catalog, tapedeck_runs_dir=runs)
    let_go()
    store = RunStore(runs)
    try:
        handle = store.reopen(run.id)
        Resumption(ResumeJob(run.id, settings)).run()
        handle.release()
    finally:
        store.close()


# -- what it came to -------------------------------------------------------------------------------


def tables_of(run: RunFolder) -> str:
    """A hash of a run's tables, without wall time."""
    files = came_to(run)["files"]
    kept = {name: files[name] for name in sorted(files) if name.endswith((".parquet", "events"))}
    return sha256(repr(kept).encode()).hexdigest()
