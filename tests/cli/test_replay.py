"""``tapedeck replay``, in this process and as one that is interrupted."""

from __future__ import annotations

import json
import re
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest

from app.managers.system_manager import ReplaySession
from tests.cli.conftest import Run
from tests.cli.served import COMMAND, environment
from tests.client.small_catalog import DAYS, MINUTES, TRADES, write_broken

RANGE = ("--start", DAYS[0], "--end", DAYS[1])
BARS = ("--streams", "bars_1m")
DERIVED = 2 * 2 * (MINUTES // 5 + MINUTES // 15)


def summary_of(run: Run, *arguments: object) -> dict[str, Any]:
    done = run("replay", *arguments, "--json")
    assert done.exit_code == 0, done.output
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_a_replay_prints_a_summary_and_the_digest(run: Run, small_catalog: Path) -> None:
    arguments = ("*", *RANGE, "--catalog", small_catalog)
    found = summary_of(run, *arguments)
    items = 4 * MINUTES + 2 * TRADES + DERIVED
    assert (found["state"], found["days"], found["items"]) == ("COMPLETED", 2, items)
    assert found["time"] == "2013-10-08T20:01:00Z"
    assert (found["error"], set(found["discarded"].values())) == (None, {0})
    shown = run("replay", *arguments)
    assert shown.exit_code == 0
    assert f"digest {found['digest']}\n" in shown.stdout
    assert re.search(rf"items +│ +{items:,}", shown.stdout)
    assert re.search(r"discarded +│ none", shown.stdout)


def test_options_reach_the_session(run: Run, small_catalog: Path) -> None:
    base = summary_of(run, "AIG", *RANGE, *BARS, "--catalog", small_catalog)
    other = summary_of(
        run, "AIG", *RANGE, *BARS, "--catalog", small_catalog, "--derived", "30",
        "--hours", "extended", "--calendar", "XNYS", "--history", "0", "--speed", "1000000",
    )  # fmt: skip
    assert base["items"] == 2 * MINUTES + DERIVED // 2
    assert other["items"] == 2 * (MINUTES + 13)
    assert other["time"] > base["time"]
    none = summary_of(run, "AIG", *RANGE, *BARS, "--catalog", small_catalog, "--derived", "")
    assert none["items"] == 2 * MINUTES


def test_the_catalog_may_be_a_setting(
    run: Run, small_catalog: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATA_CATALOG_URI", str(small_catalog))
    assert summary_of(run, "AIG", *RANGE, *BARS)["state"] == "COMPLETED"


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("AIGG", *RANGE), 1, "nearest: AIG"),
        (("AIG", "--start", DAYS[1], "--end", DAYS[0]), 2, "is before start"),
        (("AIG", "--start", "noon", "--end", DAYS[0]), 2, "start: not a time"),
        (("AIG", *RANGE, "--hours", "night"), 2, "allowed: regular, extended, all"),
        (("AIG", *RANGE, "--derived", "five"), 2, "--derived is 'five'"),
        (("AIG", *RANGE, "--streams", "bars_5m"), 2, "is no input"),
        (("BRK/B", *RANGE, "--streams", "trades"), 2, "allow_missing"),
        (("AIG", *RANGE, "--speed", "-1"), 2, "speed is -1"),
    ],
)
def test_what_is_wrong_is_one_line_on_stderr(
    run: Run, small_catalog: Path, arguments: tuple[str, ...], code: int, words: str
) -> None:
    done = run("replay", *arguments, "--catalog", small_catalog)
    assert (done.exit_code, done.stdout) == (code, "")
    assert done.stderr.startswith("tapedeck: ")
    assert done.stderr.count("\n") == 1
    assert words in done.stderr


def test_without_a_catalog_it_says_how_to_name_one(run: Run) -> None:
    done = run("replay", "AIG", *RANGE)
    assert done.exit_code == 1
    assert "DATA_CATALOG_URI" in done.stderr


def test_a_wrong_setting_stops_it(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SESSION_HOURS", "night")
    done = run("replay", "AIG", *RANGE)
    assert (done.exit_code, "SESSION_HOURS is 'night'" in done.stderr) == (2, True)


def test_a_session_that_fails_is_exit_code_1(run: Run, tmp_path: Path) -> None:
    path = write_broken(tmp_path / "broken")
    done = run(
        "replay",
        "AIG",
        "--start",
        DAYS[0],
        "--end",
        DAYS[0],
        "--catalog",
        path.parents[2],
        "--json",
    )
    assert done.exit_code == 1
    assert path.name in done.stdout + done.stderr


def test_ctrl_c_stops_the_session_and_prints_how_far_it_came(
    run: Run, small_catalog: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(self: ReplaySession, timeout_s: float | None = None) -> bool:
        del self, timeout_s
        raise KeyboardInterrupt

    monkeypatch.setattr(ReplaySession, "wait", interrupted)
    done = run("replay", "AIG", *RANGE, "--catalog", small_catalog, "--speed", "1", "--json")
    assert done.exit_code == 130
    assert json.loads(done.stdout)["state"] == "STOPPED"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signals_end_the_process_cleanly(
    small_catalog: Path, tmp_path: Path, number: signal.Signals
) -> None:
    command = [*COMMAND, "replay", "AIG", *RANGE, "--catalog", str(small_catalog), "--speed", "1"]
    with subprocess.Popen(
        command, cwd=tmp_path, env=environment(tmp_path) | {"LOG_LEVEL": "info"},
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        assert process.stderr is not None
        assert "replaying" in process.stderr.readline()
        process.send_signal(number)
        output, errors = process.communicate(timeout=10)
    assert process.returncode == 130
    assert "STOPPED" in output
    assert "Traceback" not in errors
