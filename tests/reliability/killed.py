"""kill -9 at any moment: a deed in a process of its own, ended in its middle, and what it left.

By hand, as many times as wanted, of all deeds or some: ``python -m tests.reliability.killed 200``
or ``... 40 backtest import``. ``--seed`` gives other moments, which are parts of the work done.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from threading import Thread
from typing import Any, cast

import httpx
import pyarrow.parquet as pq

from app.runs.folder import RunFolder
from app.runs.journal import END
from app.runs.manifest import RunState
from app.runs.store import RunStore
from settings import Settings, load_settings
from tests.client.small_catalog import DAYS, write_small_catalog
from tests.reliability.deck import Here
from tests.reliability.moments import WAIT_S, Moment, Shows, Work, cpu_s, kill_at, measure
from tests.runs.jobs import write_catalog, write_configs

ROOT = Path(__file__).parents[2]
CLI = (sys.executable, "-m", "app.cli")
CSV_DAYS = 25
FROM = "2013-09-16"
_LEAVE_A_RUN = {
    "replay": ("replay", "AIG", "--start", FROM, "--end", DAYS[1], "--record"),
    "backtest": ("backtest", "configs/once.yaml", "--set", f"backtest.start={FROM}"),
}
_WRITE_A_CATALOG = {
    "import": ("import", "csv", "csv", "--to"),
    "build": ("catalog", "build", "catalog", "--to"),
}
_OF_A_SERVER = ("session", "shutdown")
KINDS = ("replay", "backtest")  # of a session
_COMMANDS = 24  # to a session, of which the kill comes among
DEEDS = (*_LEAVE_A_RUN, *_WRITE_A_CATALOG, *_OF_A_SERVER)

# What a kill met.
EARLY, MIDDLE, LATE = "before its work", "in the middle", "after its work"
Said = tuple[str, str]  # what it met, and what was left
Deed = Callable[[Path, Moment], Said]


class BrokenPromiseError(AssertionError):
    """A promise that was not kept."""


def expect(fulfilled: object, said: str) -> None:
    if not fulfilled:
        raise BrokenPromiseError(said)


@dataclass
class Bench:
    """Data and settings that all deeds share, and what came of each where it was not killed."""

    work: Path
    whole: dict[str, Any] = field(default_factory=dict)
    works: dict[str, Work] = field(default_factory=dict)

    def __post_init__(self) -> None:
        write_catalog(write_small_catalog(self.work / "catalog"))
        write_configs(self.work / "configs")
        source = self.work / "csv"
        source.mkdir()
        rows = (
            f"2024-03-{1 + day:02}T{15 + minute // 60}:{minute % 60:02}:00Z,1,2,1,2,{day + minute}"
            for day in range(CSV_DAYS)
            for minute in range(120)
        )
        (source / "X.csv").write_text("\n".join(["ts,open,high,low,close,volume", *rows]))

    def environment(self, runs: Path) -> dict[str, str]:
        return os.environ | {
            "PYTHONPATH": str(ROOT), "TAPEDECK_CACHE_DIR": str(self.work / "cache"),
            "TAPEDECK_RUNS_DIR": str(runs), "DATA_CATALOG_URI": str(self.work / "catalog"),
            "TAPEDECK_CONFIGS_DIR": str(self.work / "configs"), "TAPEDECK_PORT": "0",
            "LOG_LEVEL": "error",
        }  # fmt: skip

    def settings(self, runs: Path) -> Settings:
        return load_settings(
            None, data_catalog_uri=str(self.work / "catalog"), tapedeck_runs_dir=runs,
            tapedeck_cache_dir=self.work / "cache",
        )  # fmt: skip

    def start(self, runs: Path, *arguments: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [*CLI, *arguments], cwd=self.work, env=self.environment(runs), text=True,
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        )  # fmt: skip

    def done(self, runs: Path, *arguments: str) -> str:
        """What a command prints; it is to succeed."""
        made = subprocess.run(
            [*CLI, *arguments], cwd=self.work, env=self.environment(runs), text=True,
            capture_output=True, timeout=WAIT_S, check=False,
        )  # fmt: skip
        expect(made.returncode == 0, f"{arguments}: {made.returncode}\n{made.stdout}{made.stderr}")
        return made.stdout


# -- what is left ----------------------------------------------------------------------------------


def bytes_of(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def came_to(run: RunFolder) -> dict[str, Any]:
    """All that two runs of one input share: every file but the manifest, events without wall
    time, and of the manifest what it says of the result."""
    manifest = run.manifest
    files = {name: (run.path / name).read_bytes() for name in manifest.files}
    if files.pop("events.parquet", None) is not None:
        events = pq.read_table(run.path / "events.parquet")
        files["events"] = events.drop_columns(["ts_created_ns"]).to_pydict()
    return {
        "state": manifest.state, "cause": manifest.cause, "events": manifest.events,
        "digest": manifest.digest, "events_digest": manifest.events_digest, "files": files,
    }  # fmt: skip


def only_run(store: RunStore) -> RunFolder | None:
    found = store.list()
    expect(len(found) <= 1, f"{len(found)} runs of one deed")
    return store.open(found[0].id) if found else None


def appears(folder: Path, pattern: str) -> Shows:
    """Whether there is such a file."""
    return lambda: folder.is_dir() and next(folder.glob(pattern), None) is not None


def files_of(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def is_final(runs: Path) -> bool:
    """Whether the only run there has ended."""
    return all(b'"running"' not in path.read_bytes() for path in runs.glob("*/manifest.json"))


# -- the deeds -------------------------------------------------------------------------------------


def run_deed(bench: Bench, name: str, *arguments: str) -> Deed:
    """A command that leaves a run; where it was killed that is resumed."""

    def do(work: Path, moment: Moment) -> Said:
        runs = work / "runs"
        with bench.start(runs, *arguments) as process:
            kill_at(process, appears(runs, "*/manifest.json"), bench.works[name], moment)
        return resumed(bench, name, runs)

    return do


def resumed(bench: Bench, name: str, runs: Path) -> Said:
    """What the next start finds, and that it comes to the same once it is resumed."""
    store = RunStore(runs)
    try:
        store.mark_interrupted()
        run = only_run(store)
        if run is None:
            return EARLY, "no record"
        state = run.manifest.state
        if state is RunState.INTERRUPTED:
            listed = store.list(state=RunState.INTERRUPTED)
            expect([r.id for r in listed] == [run.id], f"listed are {listed}")
            bench.done(runs, "runs", "resume", run.id)
        expect(run.check() == [], f"{run.id}: {run.check()}")
        expect(came_to(run) == bench.whole[name], f"{run.path} came to something else")
        expect(not (run.path / ".again").exists(), "the second record was left")
        return MIDDLE if state is RunState.INTERRUPTED else LATE, str(state)
    finally:
        store.close()


def session_deed(bench: Bench, during_shutdown: bool) -> Deed:
    """A server that is told things; it is killed among them, or while it shuts down."""

    def do(work: Path, moment: Moment) -> Said:
        runs, kind = work / "runs", random.choice(KINDS)
        with serving(bench, runs) as (process, http):
            if during_shutdown:
                answered = tell(http, kind, 10)
                process.send_signal(signal.SIGTERM)
                was_there = kill_at(process, lambda: True, bench.works[f"shutdown {kind}"], moment)
            else:
                work_s = bench.works[f"session {kind}"]
                arguments = (process, lambda: True, work_s, moment)
                killer = Thread(target=kill_at, args=arguments)  # within a command as well
                killer.start()
                answered = tell(http, kind, 10_000)
                killer.join()
                was_there = True
        return MIDDLE if was_there else LATE, kind + " " + taken_up(bench, runs, answered)

    return do


@contextmanager
def serving(bench: Bench, runs: Path) -> Iterator[tuple[subprocess.Popen[str], httpx.Client]]:
    with bench.start(runs, "serve", "--port", "0") as process:
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            url = line[line.index("http://") :].strip()
            with httpx.Client(base_url=url, timeout=WAIT_S) as http:
                yield process, http
        finally:
            process.kill()


def tell(http: httpx.Client, kind: str, commands: int) -> int:
    """So many commands, or until the server is gone; how many orders it answered."""
    symbols = {"symbols": ["AIG"], "start": DAYS[0], "end": DAYS[1]}
    body = {"config": "once.yaml"} if kind == "backtest" else symbols
    begin = {**body, "speed": 0, "start_paused": True, "record": True}
    orders = 0
    try:
        http.post("/session", json=begin).raise_for_status()
        for number in range(commands):
            http.post("/session/step", json={"unit": "bar", "count": 1 + number % 3})
            if kind == "backtest" and number % 2:
                sent = {"symbol": "AIG", "side": "buy", "quantity": 1 + number % 5}
                orders += http.post("/session/orders", json=sent).is_success
            if number % 7 == 6:
                http.post("/session/seek", json={"time": f"{DAYS[0]}T14:00:00Z"})
    except httpx.TransportError:
        return orders
    return orders


def taken_up(bench: Bench, runs: Path, orders: int) -> str:
    """Every run of the session has ended, or is resumed; each is verified, and every order that
    was answered stands in a journal."""
    store = RunStore(runs)
    try:
        store.mark_interrupted()
        records = store.list()
        states = Counter(str(record.state) for record in records)
        lines = [e for r in records for e in store.open(r.id).journal() or ()]
        sent = sum(entry.command == "order_request" for entry in lines)
        expect(sent >= orders, f"{orders} orders were answered, {sent} are in the journals")
        for record in records:
            run = store.open(record.id)
            if record.state is RunState.INTERRUPTED:
                before = told(run)
                bench.done(runs, "runs", "resume", run.id)
                after = told(run)
                expect(after == before, f"{run.id}: told {before}, then {after}")
                ended = (RunState.COMPLETED, RunState.STOPPED)
                expect(run.manifest.state in ended, f"{run.id}: {run.manifest.cause}")
            found = Here(run, bench.settings(runs)).run()
            expect(found.equal, f"{run.id}: {found}")
            expect(run.check() == [], f"{run.id}: {run.check()}")
        return ", ".join(f"{count} {state}" for state, count in sorted(states.items())) or "no run"
    finally:
        store.close()


def told(run: RunFolder) -> list[str]:
    """The commands of a journal, without its end."""
    return [str(entry) for entry in run.journal() or () if entry.command != END]


def catalog_deed(bench: Bench, name: str, *arguments: str) -> Deed:
    """A command that writes a catalog: what stands there is whole, and once more is all of it."""

    def do(work: Path, moment: Moment) -> Said:
        target = work / "out"
        with bench.start(work / "runs", *arguments, str(target)) as process:
            was_there = kill_at(process, appears(target, "*"), bench.works[name], moment)
        left = bytes_of(target) if target.is_dir() else {}
        for path, content in left.items():
            if not Path(path).name.startswith("."):
                expect(content == bench.whole[name][path], f"{path} is not whole")
        bench.done(work / "runs", *arguments, str(target))
        expect(bytes_of(target) == bench.whole[name], "once more gave something else")
        met = LATE if not was_there else MIDDLE if target.is_dir() else EARLY
        return met, f"{len(left)} files"

    return do


def deed_of(bench: Bench, name: str) -> Deed:
    """A deed; what it comes to where it is not killed, and its work, are found first."""
    whole = bench.work / "whole" / name
    if name in _LEAVE_A_RUN:
        command = _LEAVE_A_RUN[name]
        bench.done(bench.work / "first", *command)  # builds what is kept in the cache
        with bench.start(whole, *command) as process:
            shows = appears(whole, "*/manifest.json")
            bench.works[name] = measure(process, shows, lambda: is_final(whole))
        store = RunStore(whole)
        run = only_run(store)
        expect(run is not None, f"{command} left no run")
        bench.whole[name] = came_to(cast(RunFolder, run))
        store.close()
        return run_deed(bench, name, *command)
    if name in _WRITE_A_CATALOG:
        command = _WRITE_A_CATALOG[name]
        first = bench.work / "first" / name
        bench.done(whole, *command, str(first))
        with bench.start(whole, *command, str(whole)) as process:
            shows = appears(whole, "*")
            bench.works[name] = measure(process, shows, lambda: files_of(whole) >= files_of(first))
        bench.whole[name] = bytes_of(whole)
        return catalog_deed(bench, name, *command)
    for kind in KINDS:
        if f"{name} {kind}" not in bench.works:
            measure_server(bench, whole, kind)
    return session_deed(bench, during_shutdown=name == "shutdown")


def measure_server(bench: Bench, runs: Path, kind: str) -> None:
    """The work of a server that is told things, and that of its shutdown."""
    with serving(bench, runs) as (process, http):
        began_s = cpu_s(process) or 0.0
        tell(http, kind, _COMMANDS)
        told_s = cpu_s(process) or 0.0
        bench.works[f"session {kind}"] = Work(began_s, told_s - began_s)
        process.send_signal(signal.SIGTERM)
        bench.works[f"shutdown {kind}"] = measure(process, lambda: True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("count", type=int, help="how many kills, spread over the deeds")
    parser.add_argument("deeds", nargs="*", help=" ".join(DEEDS))
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    random_ = random.Random(options.seed)
    random.seed(options.seed)
    folder = Path(tempfile.mkdtemp(prefix="tapedeck-killed-"))
    bench = Bench(folder)
    wanted = options.deeds or list(DEEDS)
    deeds = {name: deed_of(bench, name) for name in wanted}
    seen: Counter[str] = Counter()
    for number in range(options.count):
        name = wanted[number % len(wanted)]
        moment = Moment.of(random_, before=name not in _OF_A_SERVER)
        work = folder / str(number)
        work.mkdir()
        met, left = deeds[name](work, moment)  # a broken promise ends it, and leaves the folder
        seen[f"{name}: {met}"] += 1
        seen[met] += 1
        sys.stdout.write(f"{number + 1} {name} at {moment.part:.3f}: {met}, {left}\n")
        sys.stdout.flush()
        shutil.rmtree(work)
    for line, count in sorted(seen.items()):
        sys.stdout.write(f"{count:4} {line}\n")
    shutil.rmtree(folder)


if __name__ == "__main__":
    main()
