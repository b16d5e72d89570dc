"""``tapedeck backtest``: looked over, run, stopped, failed; what it prints and its exit codes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from app.errors import SessionFailedError
from app.managers.system_manager.backtest import BacktestEngine, BacktestResult
from app.trading.config import config_schema, parse_backtest_config
from tests.cli.conftest import Run
from tests.cli.served import COMMAND, environment
from tests.client.small_catalog import DAYS, write_broken
from tests.runs.jobs import ONCE
from tests.until import until

WAITS = """import time
from pathlib import Path

from app.trading.strategy import Strategy


class Waits(Strategy):
    def on_bar(self, ctx, bar):
        Path("began").touch()
        time.sleep(0.01)
"""
RAISES = """from app.trading.strategy import Strategy


class Raises(Strategy):
    def on_bar(self, ctx, bar):
        raise ValueError("no luck")
"""


def config_text(start: str = DAYS[0], end: str = DAYS[1], file: str = "once.py") -> str:
    return (
        f"backtest: {{name: once, start: {start}, end: {end}}}\n"
        "data: {symbols: [AIG], streams: [bars_1m], history_days: 0}\n"
        "execution: {commission: {per_share: 0.01}}\n"
        f"strategies:\n  - {{id: once, file: {file}}}\n"
    )


@pytest.fixture
def call(run: Run, small_catalog: Path, tmp_path: Path) -> Run:
    """``tapedeck backtest run.yaml`` on the small catalog, in a folder with strategies."""
    for name, text in (("once", ONCE), ("waits", WAITS), ("raises", RAISES)):
        (tmp_path / f"{name}.py").write_text(text)
    (tmp_path / "run.yaml").write_text(config_text())

    def backtest(*arguments: object) -> Any:
        return run("backtest", "run.yaml", "--catalog", small_catalog, *arguments)

    return backtest


def result_of(call: Run, *arguments: object) -> dict[str, Any]:
    done = call(*arguments, "--json")
    assert done.exit_code == 0, done.output
    found: dict[str, Any] = json.loads(done.stdout)
    return found


# -- run ---------------------------------------------------------------------------------------


def test_a_run_tells_what_it_came_to_and_where_its_record_is(call: Run, tmp_path: Path) -> None:
    found = result_of(call)
    assert (found["outcome"], found["cause"]) == ("completed", None)
    folder = Path(found["folder"])
    assert folder.parent == tmp_path / "runs"
    assert Path(found["report"]).is_file()
    assert folder.name == found["run_id"]
    # 10 shares a day, bought at the open of the 6th bar and sold at that of the 101st: each close
    # is 0.005 above its open, and a cent above the close before.
    statistics = found["statistics"]
    assert statistics["trades"] == 2
    assert statistics["commission"] == pytest.approx(4 * 10 * 0.01)
    assert statistics["pnl"] == pytest.approx(2 * 10 * 0.95 - 0.4)
    assert parse_backtest_config((folder / "config.yaml").read_text()).backtest.name == "once"


def test_the_table_has_the_numbers_and_the_digests_stand_alone(call: Run) -> None:
    done = call()
    assert done.exit_code == 0, done.output
    lines = done.stdout.splitlines()
    cells = [[cell.strip() for cell in line.split("│")] for line in lines if "│" in line]
    shown = {row[1]: row[2] for row in cells}
    assert (shown["trades"], shown["commission"], shown["pnl"]) == ("2", "0.40 USD", "18.60 USD")
    assert (shown["outcome"], shown["return"]) == ("completed", "0.02%")
    assert shown["sharpe"] != ""
    for name in ("digest", "events digest", "folder", "report"):
        assert any(line.startswith(f"{name} ") for line in lines), name


def test_the_same_run_twice_has_the_same_digests(call: Run) -> None:
    first, second = result_of(call), result_of(call)
    assert first["run_id"] != second["run_id"]
    for name in ("digest", "events_digest", "statistics"):
        assert first[name] == second[name]


def test_overrides_and_the_folder_reach_the_run(call: Run, tmp_path: Path) -> None:
    found = result_of(
        call, "--set", "strategies.once.params.quantity=20", "--set", f"backtest.end={DAYS[0]}",
        "--runs", tmp_path / "elsewhere",
    )  # fmt: skip
    assert Path(found["folder"]).parent == tmp_path / "elsewhere"
    assert found["statistics"]["commission"] == pytest.approx(2 * 20 * 0.01)


def test_the_catalog_may_be_in_the_file_or_a_setting(
    run: Run, call: Run, small_catalog: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_catalog = ("--set", f"data.catalog={small_catalog}", "--json")
    assert run("backtest", "run.yaml", *with_catalog).exit_code == 0
    monkeypatch.setenv("DATA_CATALOG_URI", str(small_catalog))
    monkeypatch.setenv("TAPEDECK_RUNS_DIR", "kept")
    done = run("backtest", "run.yaml", "--json")
    assert Path(json.loads(done.stdout)["folder"]).parent == Path("kept").absolute()


def test_without_a_catalog_it_says_how_to_name_one(run: Run, call: Run) -> None:
    done = run("backtest", "run.yaml")
    assert done.exit_code == 1
    assert "DATA_CATALOG_URI" in done.stderr


def test_a_strategy_that_raises_is_a_failed_run(call: Run) -> None:
    done = call("--set", "strategies.once.file=raises.py", "--json")
    found = json.loads(done.stdout)
    assert (done.exit_code, found["outcome"]) == (1, "failed")
    assert "raises.py" in found["cause"]
    assert "no luck" in found["cause"]
    assert Path(found["folder"]).is_dir()
    shown = call("--set", "strategies.once.file=raises.py")
    assert shown.exit_code == 1
    assert "no luck" in shown.stderr
    assert "no luck" not in shown.stdout  # the cause comes once
    assert "The run failed. All numbers are of the part" in shown.stdout
    assert "Traceback" not in shown.stderr
    assert "failed" in shown.stdout


def test_what_a_strategy_logs_is_seen(
    call: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = "    def on_end(self, ctx):\n        ctx.log('that [b]was[/b] all')\n"
    source = f"from app.trading.strategy import Strategy\nclass A(Strategy):\n{told}"
    (tmp_path / "tells.py").write_text(source, "utf-8")
    tells = ("--set", "strategies.0.file=tells.py", "--set", "strategies.0.params={}")
    done = call(*tells)
    assert done.exit_code == 0, done.output
    assert f"once: {DAYS[-1]}T" in done.stderr
    assert "that [b]was[/b] all\n" in done.stderr
    monkeypatch.setenv("LOG_LEVEL", "warning")
    done = call(*tells)
    assert "was" not in done.stderr


def test_a_broken_file_is_a_failed_run(call: Run, run: Run, tmp_path: Path) -> None:
    path = write_broken(tmp_path / "broken")
    done = run("backtest", "run.yaml", "--catalog", path.parents[2], "--set",
               f"backtest.end={DAYS[0]}")  # fmt: skip
    assert done.exit_code == 1
    assert path.name in done.stderr


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signals_stop_the_run_which_is_recorded(
    call: Run, small_catalog: Path, tmp_path: Path, number: signal.Signals
) -> None:
    command = [*COMMAND, "backtest", "run.yaml", "--catalog", str(small_catalog), "--json",
               "--set", "strategies.0.file=waits.py"]  # fmt: skip
    with subprocess.Popen(
        command, cwd=tmp_path, env=environment(tmp_path), stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        began = tmp_path / "began"
        until(lambda: began.exists() or process.poll() is not None, "the first bar")
        process.send_signal(number)
        output, errors = process.communicate(timeout=30)
    found = json.loads(output)
    assert (process.returncode, found["outcome"]) == (130, "stopped")
    assert "Traceback" not in errors
    manifest = json.loads((Path(found["folder"]) / "manifest.json").read_text())
    assert manifest["state"] == "stopped"


# -- looked over -------------------------------------------------------------------------------


def test_check_says_what_the_run_would_be_and_runs_nothing(call: Run, tmp_path: Path) -> None:
    done = call("--check")
    assert done.exit_code == 0, done.output
    assert done.stdout.splitlines()[0] == "run.yaml can be run"
    assert "2 trading days of XNYS, 2013-10-07 to 2013-10-08" in done.stdout
    assert not (tmp_path / "runs").exists() or not list((tmp_path / "runs").glob("*/manifest.json"))
    found = json.loads(call("--check", "--json").stdout)
    assert (found["ok"], found["problems"]) == (True, [])


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("backtest.end=2013-10-05", "--set backtest.end=2013-10-05: backtest.end: 2013-10-05 is"),
        ("risk.cash_bufer_pct=0", "nearest: cash_buffer_pct"),
        ("strategies.once.file=absent.py", "no file 'absent.py' beside the configuration"),
        ("strategies.once.params.quantity=0", "parameter 'quantity' is 0"),
        ("strategies.once.params.quantitty=5", "unknown parameter 'quantitty'; nearest: quantity"),
        ("strategies.once.name=Twice", "no strategy 'Twice'"),
        ("data.symbols=[AIGG]", "nearest: AIG"),
        ("data={symbols: [BRK/B], streams: [trades]}", "the catalog has nothing from"),
        ("backtest={start: 2014-10-07, end: 2014-10-08}", "the catalog has nothing from"),
    ],
)
def test_check_finds_what_is_wrong(call: Run, override: str, said: str) -> None:
    done = call("--check", "--set", override)
    assert (done.exit_code, done.stdout) == (2, "")
    assert done.stderr.startswith("tapedeck: ")
    assert said in done.stderr
    found = json.loads(call("--check", "--set", override, "--json").stdout)
    assert not found["ok"]
    assert any(said in problem for problem in found["problems"])


@pytest.mark.parametrize("option", [[], ["--check"]])
def test_all_problems_of_the_file_are_told_each_on_a_line(
    call: Run, tmp_path: Path, option: list[str]
) -> None:
    (tmp_path / "run.yaml").write_text(config_text(end="2013-10-04") + "riks: {}\n")
    done = call(*option, "--set", "backtest.sed=1")
    assert (done.exit_code, done.stdout) == (2, "")
    assert [line.split(": ")[:3] for line in done.stderr.splitlines()] == [
        ["tapedeck", "run.yaml:1", "backtest.end"],
        ["tapedeck", "run.yaml:6", "riks"],
        ["tapedeck", "--set backtest.sed=1", "backtest.sed"],
    ]


def test_a_file_must_be_named_and_be_there(run: Run, call: Run) -> None:
    assert run("backtest").exit_code == 2
    assert "name the configuration" in run("backtest").stderr
    done = run("backtest", "runs.yaml")
    assert (done.exit_code, done.stderr) == (
        2, "tapedeck: runs.yaml: no such file; nearest: run.yaml\n",
    )  # fmt: skip


def test_the_schema_is_printed(run: Run) -> None:
    done = run("backtest", "--schema")
    assert done.exit_code == 0
    assert json.loads(done.stdout) == config_schema()


# -- interrupted, by hand ----------------------------------------------------------------------


class HandEngine:
    """An engine whose ``run`` interrupts who waits for it, and ends when it is told to stop."""

    def __init__(self, answer: Callable[[], BacktestResult]) -> None:
        self._answer = answer
        self.stopped = threading.Event()

    def run(self, progress: object) -> BacktestResult:
        del progress
        os.kill(os.getpid(), signal.SIGINT)
        assert self.stopped.wait(10)
        return self._answer()

    def stop(self) -> None:
        self.stopped.set()


def stopped_result() -> BacktestResult:
    return BacktestResult(None, "stopped", None, None, {}, "d", None)


def never_began() -> BacktestResult:
    raise SessionFailedError("the run was stopped before it began")


@pytest.mark.parametrize("answer", [stopped_result, never_began])
def test_ctrl_c_at_any_time_is_130(
    run: Run, monkeypatch: pytest.MonkeyPatch, answer: Callable[[], BacktestResult]
) -> None:
    engine = HandEngine(answer)
    monkeypatch.setattr(BacktestEngine, "from_config", lambda *a, **k: engine)
    done = run("backtest", "run.yaml")
    assert (done.exit_code, engine.stopped.is_set()) == (130, True)
