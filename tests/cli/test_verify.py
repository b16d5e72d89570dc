"""``tapedeck verify``: what it says, as a table and as JSON, and its exit codes."""

from __future__ import annotations

import json
import signal
import subprocess
from pathlib import Path
from typing import Any

import msgspec
import pytest

from app.managers.system_manager.verify import Verifier
from app.managers.system_manager.verify_process import execute
from app.runs.manifest import RunState, hash_file, write_manifest
from app.runs.store import RunStore
from tests.cli.conftest import Run
from tests.cli.served import COMMAND, environment
from tests.client.small_catalog import DAYS, bar_table, day_path_of, write, write_small_catalog
from tests.runs.jobs import write_configs

WAITS = """import time
from pathlib import Path

from app.trading.strategy import Strategy


class Waits(Strategy):
    def on_bar(self, ctx, bar):
        Path("began").touch()
        time.sleep(0.05)
"""


@pytest.fixture
def recorded(run: Run, small_catalog: Path, tmp_path: Path) -> str:
    """The id of a run of this folder."""
    write_configs(tmp_path)
    done = run("backtest", "once.yaml", "--catalog", small_catalog, "--json")
    assert done.exit_code == 0, done.output
    return str(json.loads(done.stdout)["run_id"])


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch) -> None:
    """Second runs in this process, which takes a tenth of the time."""
    monkeypatch.setattr(Verifier, "_execute", lambda verifier, job, progress: execute(job))


def test_a_run_that_comes_to_the_same(
    run: Run, small_catalog: Path, recorded: str, tmp_path: Path
) -> None:
    (tmp_path / "once.py").write_text("# another idea\n")
    done = run("verify", recorded, "--catalog", small_catalog)
    assert done.exit_code == 0, done.output
    assert "edited since; their copies were executed" in done.stdout
    assert str(tmp_path / "once.py") in done.stdout
    last = done.stdout.splitlines()[-1]
    assert last == f"{recorded} (completed) is verified: 66 events, the same again."
    assert len(RunStore(tmp_path / "runs").list()) == 1, "it leaves nothing behind"


@pytest.mark.parametrize("copy", ["absolute", "../../once.py", "strategies/link.py", "a\0b"])
def test_strategies_outside_of_the_runs_folder_are_not_executed(
    run: Run, small_catalog: Path, recorded: str, tmp_path: Path, copy: str, here: None
) -> None:
    folder = RunStore(tmp_path / "runs").open(recorded)
    (folder.path / "strategies" / "link.py").symlink_to(tmp_path / "once.py")
    named = str(tmp_path / "once.py") if copy == "absolute" else copy
    [strategy] = folder.manifest.strategies
    changed = msgspec.structs.replace(strategy, copy=named)
    write_manifest(folder.path, msgspec.structs.replace(folder.manifest, strategies=(changed,)))
    done = run("verify", recorded, "--catalog", small_catalog)
    assert done.exit_code == 2
    said = "cannot be the name" if "\0" in copy else "lies outside of the run's folder"
    assert f"strategy 'once', {named!r}, {said}" in " ".join(done.output.split())


def test_altered_data_are_named_with_the_first_event_that_differs(
    run: Run, small_catalog: Path, recorded: str, tmp_path: Path, here: None
) -> None:
    catalog = write_small_catalog(tmp_path / "altered")
    path = day_path_of("bars_1m", "AIG", DAYS[1])
    write(catalog / path, bar_table(DAYS[1], 51.0))
    before, after = (hash_file(root / path).hash for root in (small_catalog, catalog))
    done = run("verify", recorded, "--catalog", catalog)
    assert done.exit_code == 1
    for text in ("They part at event 42: ", path, before[:12], after[:12], "events_digest"):
        assert text in done.stdout
    assert done.stdout.splitlines()[-1] == (
        f"{recorded} (completed) differs, after 41 events that are the same."
    )
    done = run("verify", recorded, "--catalog", catalog, "--json")
    found: dict[str, Any] = json.loads(done.stdout)
    assert (done.exit_code, found["equal"], found["events"]) == (1, False, 41)
    assert found["first_event"]["seq"] == 42
    assert found["inputs"] == [{"path": f"data.{path}", "a": before, "b": after}]


def test_a_broken_record_differs_although_the_events_are_the_same(
    run: Run, small_catalog: Path, recorded: str, tmp_path: Path, here: None
) -> None:
    (tmp_path / "runs" / recorded / "trades.csv").write_text("much,gained\n")
    done = run("verify", recorded, "--catalog", small_catalog)
    assert (done.exit_code, done.stdout) == (
        1,
        "broken: trades.csv is not what the run left\n"
        f"{recorded} (completed) differs; its 66 events are the same.\n",
    )


def test_what_cannot_be_verified_is_an_error(
    run: Run, small_catalog: Path, recorded: str, tmp_path: Path, here: None
) -> None:
    done = run("verify", recorded + "x")
    assert (done.exit_code, done.stdout) == (2, "")
    assert f"nearest: {recorded}" in done.stderr
    done = run("verify", recorded)
    assert (done.exit_code, "DATA_CATALOG_URI" in done.stderr) == (2, True)
    folder = RunStore(tmp_path / "runs").open(recorded)
    formats = msgspec.structs.replace(folder.manifest.formats, digest="td7")
    write_manifest(folder.path, msgspec.structs.replace(folder.manifest, formats=formats))
    done = run("verify", recorded, "--catalog", small_catalog)
    assert (done.exit_code, done.stdout) == (2, "")
    assert "digest is 'td7', this program knows 'td1'" in done.stderr


def test_it_ends_by_a_signal_with_its_second_run(
    small_catalog: Path, recorded: str, run: Run, tmp_path: Path
) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "once.py").write_text(WAITS)
    options = ("--catalog", str(small_catalog), "--strategies", "mine")
    command = [*COMMAND, "verify", recorded, *options]
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    with subprocess.Popen(
        command, cwd=tmp_path, env=environment(tmp_path) | {"TMPDIR": str(temporary)},
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        while not (tmp_path / "began").exists():
            assert process.poll() is None, process.communicate()
        process.send_signal(signal.SIGTERM)
        output, errors = process.communicate(timeout=30)
    assert (process.returncode, output) == (130, "")
    assert errors == "tapedeck: the verification was stopped\n"
    assert list(temporary.iterdir()) == [], "nothing is left, and nobody works on it"
    assert RunStore(tmp_path / "runs").open(recorded).manifest.state is RunState.COMPLETED
