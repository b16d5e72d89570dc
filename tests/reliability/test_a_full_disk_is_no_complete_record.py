"""A disk that takes no more ends what is written there, with a cause, and nothing half is taken
for whole. The limit of a file's size stands for the disk: writing beyond it fails as there.
"""

from __future__ import annotations

import resource
import shutil
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from app.runs.manifest import RunState
from app.runs.store import RunStore
from tests.cli.served import base_url
from tests.reliability.deck import PLAIN, Deck
from tests.reliability.killed import CLI, Bench, bytes_of, expect


def full_at(most_bytes: int) -> Callable[[], None]:
    """For a process: no file of it grows beyond so many bytes. The hard limit stays."""

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (most_bytes, resource.RLIM_INFINITY))

    return limit


def run_full(
    bench: Bench, runs: Path, most_bytes: int, *arguments: str
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*CLI, *arguments], cwd=bench.work, env=bench.environment(runs), text=True, timeout=180,
        capture_output=True, preexec_fn=full_at(most_bytes), check=False,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("most_bytes", "states"),
    [
        (1_000, []),  # not even the manifest
        (16_000, [RunState.FAILED]),  # the events
        (120_000, [RunState.FAILED]),  # the report
    ],
)
def test_a_backtest(bench: Bench, tmp_path: Path, most_bytes: int, states: list[RunState]) -> None:
    runs = tmp_path / "runs"
    done = run_full(bench, runs, most_bytes, "backtest", "configs/once.yaml")
    assert done.returncode in (1, 2), done.stdout
    assert "File too large" in done.stderr, done.stderr
    assert "cannot be written" in done.stderr
    store = RunStore(runs)
    store.mark_interrupted()
    found = store.list()
    assert [record.state for record in found] == states
    for record in found:
        assert "File too large" in (record.cause or "")
        store.delete(record.id)
    store.close()
    assert [p.name for p in runs.iterdir() if p.name.startswith(".new")] == []
    bench.done(runs, "backtest", "configs/once.yaml")


def test_a_session_whose_journal_takes_no_more_has_failed(bench: Bench, tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    most = 9_000
    with subprocess.Popen(
        [*CLI, "serve", "--port", "0"], cwd=bench.work, env=bench.environment(runs), text=True,
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, preexec_fn=full_at(most),
    ) as process:  # fmt: skip
        assert process.stdout is not None
        deck = Deck(base_url(process.stdout), runs)
        run_id = deck.start(**PLAIN)
        answers = [
            deck.http.post("/session/step", json={"unit": "slice", "count": 1}) for _ in range(60)
        ]
        status = deck.until("FAILED")
        assert f"{run_id}/journal.jsonl: cannot be written: File too large" in status["error"]
        codes = [answer.status_code for answer in answers]
        assert codes == sorted(codes)
        assert set(codes) == {200, 409}
        run = deck.run(run_id)
        assert run.manifest.state is RunState.FAILED
        assert "File too large" in (run.manifest.cause or "")
        assert len(run.journal() or ()) in (codes.count(200), codes.count(200) - 1)
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0
        deck.close()


@pytest.mark.parametrize("name", ["import", "build"])
def test_a_catalog_that_is_written(bench: Bench, tmp_path: Path, name: str) -> None:
    """What stands there is whole, and once more is all of it."""
    command = {"import": ("import", "csv", "csv"), "build": ("catalog", "build", "catalog")}[name]
    target, whole = tmp_path / "out", tmp_path / "whole"
    bench.done(tmp_path, *command, "--to", str(whole))
    wanted = bytes_of(whole)
    most = sorted(map(len, wanted.values()))[len(wanted) // 2]
    done = run_full(bench, tmp_path, most - 1, *command, "--to", str(target))
    assert done.returncode != 0
    assert "File too large" in done.stderr
    assert "cannot be written: File too large" in done.stderr
    assert "Traceback" not in done.stderr, done.stderr
    left = bytes_of(target) if target.exists() else {}
    expect(left.items() <= wanted.items(), f"not whole: {sorted(left)}")
    bench.done(tmp_path, *command, "--to", str(target))
    assert bytes_of(target) == wanted
    shutil.rmtree(target)
